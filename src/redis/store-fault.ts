import { ReplyError } from "ioredis";
import { Fault } from "../base/fault.ts";

/** Said by ioredis for a command that it did not send. */
const NOT_SENT = /isn't writeable|isn't ready|Failed to refresh slots cache|None of startup nodes/;

/**
 * What became of a write: Redis refused it, or it was never sent, so nothing was written (UNAVAILABLE); or nobody knows, since it was sent and
 * not answered (INDETERMINATE).
 */
export function writeFault(cause: unknown): Fault {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof Fault) return cause;
  if (cause instanceof ReplyError || NOT_SENT.test(message)) {
    return new Fault("UNAVAILABLE", `Redis did not take the write: ${message}; nothing was changed`, { cause });
  }
  return new Fault("INDETERMINATE", `Redis did not answer whether it took the write: ${message}`, { cause });
}

/** A read changes nothing, so it may simply be tried again. */
export function readFault(cause: unknown): Fault {
  if (cause instanceof Fault) return cause;
  return new Fault("UNAVAILABLE", `Redis could not be read: ${cause instanceof Error ? cause.message : cause}`, {
    cause,
  });
}
