import type { ServerUnaryCall } from "@grpc/grpc-js";
import type { CallContext } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";

/** How long calls from clients may take. */
export interface CallTimeouts {
  /** For a client that sends no deadline. Unit: ms. */
  readonly defaultMs: number;
  /** A longer deadline is cut to this. Unit: ms. */
  readonly maxMs: number;
}

/** The deadline and the cancellation that a client's gRPC call came with. */
export function contextOf<Request, Response>(
  call: Pick<ServerUnaryCall<Request, Response>, "getDeadline" | "once">,
  { defaultMs, maxMs }: CallTimeouts,
): CallContext {
  const atEpochMs = Number(call.getDeadline());
  const leftMs = Number.isFinite(atEpochMs) ? Math.max(0, atEpochMs - Date.now()) : defaultMs;
  const cancelled = new AbortController();
  call.once("cancelled", () => cancelled.abort());
  return { deadline: deadlineIn(Math.min(leftMs, maxMs)), signal: cancelled.signal, depth: 0 };
}
