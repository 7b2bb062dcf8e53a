import type { BlockTimes } from "../../functions/sandbox-port.ts";
import type { HostRun } from "./host-run.ts";

interface OpenBlock {
  readonly run: HostRun;
  readonly startedAtMs: number;
}

/** When blocks began and ended, of those runs that are to tell. Like ShardHold it takes blocks without a pause between them for one. */
export class BlockWatch {
  readonly #ended: (run: HostRun, times: BlockTimes) => void;
  #open: OpenBlock | undefined;

  constructor(ended: (run: HostRun, times: BlockTimes) => void) {
    this.#ended = ended;
  }

  /** Before each command. */
  command(run: HostRun): void {
    if (this.#open?.run === run) return;
    this.end();
    if (run.tellsBlocks) this.#open = { run, startedAtMs: nowMs() };
  }

  /** The code has returned, or answers its run now. Idempotent. */
  end(): void {
    if (!this.#open) return;
    const { run, startedAtMs } = this.#open;
    this.#open = undefined;
    this.#ended(run, { startedAtMs, endedAtMs: nowMs() });
  }

  /** Runs other code while the block that is open waits. */
  lend<T>(action: () => T): T {
    const lent = this.#open;
    this.#open = undefined;
    try {
      return action();
    } finally {
      this.#open = lent;
    }
  }

  /** The run is about to be answered: it has no block after that. */
  settling(run: HostRun): void {
    if (this.#open?.run === run) this.end();
  }
}

/** Since 1970, with a fraction: a block may take less than a millisecond. */
function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
