import { monotonicMs, remainingMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { answerWith, answerWithFault, wasNotRun } from "./guest-reply.ts";
import type { HostRun } from "./host-run.ts";
import type { ShardAccess } from "./shard-access.ts";

/**
 * How much longer than its caller a command waits for its reply: giving it up costs the connection, and with it every other run that needs
 * Redis in the meantime. Unit: ms.
 */
const REPLY_GRACE_MS = 500;

/** One command of a block, as it came out of the isolate. */
export interface BlockCommand {
  readonly run: HostRun;
  /** When its code first used the shard without a pause since. */
  readonly heldSinceMs: number;
  readonly readOnly: boolean;
  readonly isRaw: boolean;
  readonly args: readonly unknown[];
}

/**
 * Sends what blocks call to the shard's Redis and waits for the reply. Blocks are ordered by that alone: a block is synchronous, and this
 * process runs one piece of library code at a time. No lock is needed, and none can be forgotten.
 */
export class BlockCommands {
  readonly #shard: ShardAccess;
  readonly #holdTimeoutMs: number;

  /** `holdTimeoutMs`: how long one block may keep the others waiting. */
  constructor(shard: ShardAccess, holdTimeoutMs: number) {
    this.#shard = shard;
    this.#holdTimeoutMs = holdTimeoutMs;
  }

  /** Never throws: no error of ours may reach an isolate as it is. */
  send(command: BlockCommand): unknown {
    const { run, isRaw } = command;
    try {
      const args = command.args.map(commandBytes);
      // Redis does not answer an empty command at all.
      if (args.length === 0) throw new Fault("FUNCTION_FAILED", "Wrong number of arguments given");
      const refusal = this.#shard.refusal(args, { readOnly: command.readOnly });
      if (refusal !== undefined) throw new Fault("FUNCTION_FAILED", refusal);
      this.#assertMayGoOn(command);
      const reply = this.#shard.redis.commandNow(args, remainingMs(run.deadline) + REPLY_GRACE_MS);
      if (!command.readOnly && !wasNotRun(reply)) run.mayHaveWritten = true;
      return answerWith(reply, isRaw);
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      if (code === "INDETERMINATE" && !command.readOnly) run.mayHaveWritten = true;
      const isRetryable = code === "MOVED" || code === "UNAVAILABLE" || code === "RESOURCE_EXHAUSTED";
      return answerWithFault(run.mayHaveWritten && isRetryable ? "FUNCTION_FAILED" : code, message);
    }
  }

  /** Blocks without a pause between them hold the shard like one, from the first command on: nobody else gets a turn meanwhile. */
  #assertMayGoOn({ run, heldSinceMs }: BlockCommand): void {
    if (run.isOver) throw new Fault("CANCELLED", "the function's run was ended");
    if (remainingMs(run.deadline) <= 0) {
      throw new Fault("DEADLINE_EXCEEDED", "the call's deadline passed while its function ran");
    }
    if (monotonicMs() - heldSinceMs > this.#holdTimeoutMs) {
      const text = `the block held its shard longer than lock-redis-timeout allows (${this.#holdTimeoutMs} ms)`;
      throw new Fault("FUNCTION_TIMEOUT", text);
    }
  }
}

/** The isolate is not trusted: what comes out of it is checked here once more. */
function commandBytes(arg: unknown): string | Uint8Array {
  if (typeof arg === "string") return arg;
  if (arg instanceof ArrayBuffer) return new Uint8Array(arg);
  throw new Fault("FUNCTION_FAILED", "Can not convert value into bytes buffer");
}
