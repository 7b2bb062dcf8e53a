import { remainingMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import type { BlockTimes } from "../../functions/sandbox-port.ts";
import { BlockWatch } from "./block-watch.ts";
import { answerWith, answerWithFault, movedText, wasNotRun } from "./guest-reply.ts";
import type { HostRun } from "./host-run.ts";
import type { ShardAccess } from "./shard-access.ts";
import { ShardHold } from "./shard-hold.ts";
import type { TurnQueue } from "./turn-queue.ts";

/**
 * How much longer than its caller a command waits for its reply: giving it up costs the connection, and with it every other run that needs
 * Redis in the meantime. Unit: ms.
 */
const REPLY_GRACE_MS = 500;

export interface BlockCommandsParts {
  readonly shard: ShardAccess;
  readonly turns: TurnQueue;
  /** How long one block may keep the others waiting. Unit: ms. */
  readonly maxHoldMs: number;
  /** Told about each MOVED of Redis. */
  readonly moved: (text: string) => void;
  /** See BlockWatch. */
  readonly blockEnded: (run: HostRun, times: BlockTimes) => void;
}

/** One command of a block, as it came out of the isolate. */
export interface BlockCommand {
  readonly run: HostRun;
  readonly readOnly: boolean;
  readonly isRaw: boolean;
  readonly args: readonly unknown[];
}

/**
 * Sends what blocks call to the shard's Redis and waits for the reply. Blocks are ordered by that alone: a block is synchronous, and the process
 * has one thread for library code. No lock is needed, and none can be forgotten. While a block that only reads waits, other such code of the
 * same library may have its turn: it sees what the block sees.
 */
export class BlockCommands {
  readonly #shard: ShardAccess;
  readonly #turns: TurnQueue;
  readonly #hold: ShardHold;
  readonly #watch: BlockWatch;
  readonly #moved: (text: string) => void;

  constructor({ shard, turns, maxHoldMs, moved, blockEnded }: BlockCommandsParts) {
    this.#shard = shard;
    this.#turns = turns;
    this.#hold = new ShardHold(maxHoldMs);
    this.#watch = new BlockWatch(blockEnded);
    this.#moved = moved;
  }

  /** The code that runs now has returned: its block has ended. Idempotent. */
  codeReturned(): void {
    this.#hold.release();
    this.#watch.end();
  }

  /** The run is about to be answered. */
  settling(run: HostRun): void {
    this.#watch.settling(run);
  }

  /** Never throws: no error of ours may reach an isolate as it is. */
  send(command: BlockCommand): unknown {
    const { run, isRaw, readOnly } = command;
    try {
      const args = command.args.map(commandBytes);
      // Redis does not answer an empty command at all.
      if (args.length === 0) throw new Fault("FUNCTION_FAILED", "Wrong number of arguments given");
      const refusal = this.#shard.refusal(args, { readOnly });
      if (refusal !== undefined) throw new Fault("FUNCTION_FAILED", refusal);
      this.#assertMayGoOn(run);
      const waitMs = remainingMs(run.deadline) + REPLY_GRACE_MS;
      const reply = this.#shard.redis.commandNow(args, waitMs, {
        asking: run.run.asking === true,
        meanwhile: readOnly ? () => this.#otherTurn(run) : undefined,
      });
      if (!readOnly && !wasNotRun(reply)) run.mayHaveWritten = true;
      const moved = movedText(reply);
      if (moved !== undefined && !isScript(args)) this.#moved(moved);
      return answerWith(reply, isRaw);
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      if (code === "INDETERMINATE" && !readOnly) run.mayHaveWritten = true;
      const isRetryable = code === "MOVED" || code === "UNAVAILABLE" || code === "RESOURCE_EXHAUSTED";
      return answerWithFault(run.mayHaveWritten && isRetryable ? "FUNCTION_FAILED" : code, message);
    }
  }

  #assertMayGoOn(run: HostRun): void {
    if (run.isOver) throw new Fault("CANCELLED", "the function's run was ended");
    if (remainingMs(run.deadline) <= 0) {
      throw new Fault("DEADLINE_EXCEEDED", "the call's deadline passed while its function ran");
    }
    this.#hold.take();
    this.#watch.command(run);
  }

  /** False: there is nothing that may have a turn while the run waits. */
  #otherTurn({ run }: HostRun): boolean {
    return this.#hold.lend(() => this.#watch.lend(() => this.#turns.runMeanwhile(run.hash)));
  }
}

/** A script may answer with whatever its author likes. */
function isScript([name = ""]: readonly (string | Uint8Array)[]): boolean {
  return /^(eval|fcall)/i.test(Buffer.from(name).toString("latin1"));
}

/** The isolate is not trusted: what comes out of it is checked here once more. */
function commandBytes(arg: unknown): string | Uint8Array {
  if (typeof arg === "string") return arg;
  if (arg instanceof ArrayBuffer) return new Uint8Array(arg);
  throw new Fault("FUNCTION_FAILED", "Can not convert value into bytes buffer");
}
