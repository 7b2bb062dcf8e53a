import { monotonicMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { BlockLock, type BlockTicket } from "../block-lock.ts";
import { answerWith, answerWithFault } from "./guest-reply.ts";
import type { HostRun } from "./host-run.ts";
import type { ShardAccess } from "./shard-access.ts";
import { Wakefulness } from "./wakefulness.ts";

/** One command of a block, as it came out of the isolate. */
export interface BlockCommand {
  readonly run: HostRun;
  readonly blockId: number;
  readonly readOnly: boolean;
  readonly isRaw: boolean;
  readonly args: readonly unknown[];
}

/** Sends what blocks call to the shard's Redis, in the order of the shard's lock. */
export class BlockCommands {
  readonly #shard: ShardAccess;
  readonly #lockTimeoutMs: number;
  readonly #lock = new BlockLock(monotonicMs);
  readonly #wakefulness = new Wakefulness();

  constructor(shard: ShardAccess, lockTimeoutMs: number) {
    this.#shard = shard;
    this.#lockTimeoutMs = lockTimeoutMs;
  }

  /** Never rejects: no error of ours may reach an isolate as it is. */
  async send(command: BlockCommand): Promise<unknown> {
    const { run, isRaw } = command;
    try {
      const args = command.args.map(commandBytes);
      const refusal = this.#shard.refusal(args, { readOnly: command.readOnly });
      if (refusal !== undefined) throw new Fault("FUNCTION_FAILED", refusal);
      const ticket = this.#ticketOf(command);
      if (ticket.grantedAtMs === undefined) await ticket.settled;
      this.#assertHeld(run, ticket);
      this.#wakefulness.prolong();
      const reply = await this.#shard.redis.command(args);
      this.#wakefulness.prolong();
      if (!command.readOnly) run.mayHaveWritten = true;
      return answerWith(reply, isRaw);
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      const isRetryable = code === "MOVED" || code === "UNAVAILABLE" || code === "RESOURCE_EXHAUSTED";
      return answerWithFault(run.mayHaveWritten && isRetryable ? "FUNCTION_FAILED" : code, message);
    }
  }

  endBlock(run: HostRun, blockId: number): void {
    if (run.block?.id === blockId) run.releaseBlock();
  }

  /** The lock is taken with a block's first command: no round trip is spent on it alone. */
  #ticketOf({ run, blockId, readOnly }: BlockCommand): BlockTicket {
    if (run.isOver) throw new Fault("CANCELLED", "the function's run was ended");
    if (run.block?.id !== blockId) {
      // An earlier block of the run whose end was not told, since its code was ended.
      run.releaseBlock();
      run.block = { id: blockId, ticket: this.#lock.request(readOnly ? "shared" : "exclusive") };
    }
    return run.block.ticket;
  }

  #assertHeld(run: HostRun, { grantedAtMs }: BlockTicket): void {
    if (run.isOver || grantedAtMs === undefined) throw new Fault("CANCELLED", "the function's run was ended");
    if (monotonicMs() - grantedAtMs > this.#lockTimeoutMs) {
      const text = `the block held its shard longer than lock-redis-timeout allows (${this.#lockTimeoutMs} ms)`;
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
