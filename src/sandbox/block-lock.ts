export type BlockMode =
  /** The block only reads: it may run beside other blocks that do. */
  | "shared"
  /** The block may write: it runs alone. */
  | "exclusive";

/** One block's place in the queue, and then its hold of the shard. */
export interface BlockTicket {
  /** When the shard became this block's; undefined while it waits. On the lock's clock, in ms. */
  readonly grantedAtMs: number | undefined;
  /** Resolves once it is granted, or once it was released while it waited. */
  readonly settled: Promise<void>;
  /** Gives the shard, or the place in the queue, back. Idempotent. */
  release(): void;
}

/**
 * Orders the blocks of one shard. First come, first served: a reader that comes after a waiting writer waits behind it, so that
 * writers are not starved. Nobody holds it while waiting for anything but Redis, so it cannot be part of a deadlock.
 */
export class BlockLock {
  readonly #now: () => number;
  #queue: Ticket[] = [];
  #readers = 0;
  #hasWriter = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Blocks that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  request(mode: BlockMode): BlockTicket {
    const ticket = new Ticket(mode, (ended) => this.#release(ended));
    this.#queue.push(ticket);
    this.#grant();
    return ticket;
  }

  #grant(): void {
    for (let next = this.#queue[0]; next; next = this.#queue[0]) {
      if (this.#hasWriter || (next.mode === "exclusive" && this.#readers > 0)) return;
      this.#queue.shift();
      if (next.mode === "exclusive") this.#hasWriter = true;
      else this.#readers++;
      next.grant(this.#now());
    }
  }

  #release(ticket: Ticket): void {
    if (ticket.grantedAtMs === undefined) this.#queue = this.#queue.filter((waiting) => waiting !== ticket);
    else if (ticket.mode === "exclusive") this.#hasWriter = false;
    else this.#readers--;
    this.#grant();
  }
}

class Ticket implements BlockTicket {
  readonly mode: BlockMode;
  readonly #onRelease: (ticket: Ticket) => void;
  #settlement: PromiseWithResolvers<void> | undefined;
  #isReleased = false;
  grantedAtMs: number | undefined;

  constructor(mode: BlockMode, onRelease: (ticket: Ticket) => void) {
    this.mode = mode;
    this.#onRelease = onRelease;
  }

  get settled(): Promise<void> {
    if (this.grantedAtMs !== undefined || this.#isReleased) return Promise.resolve();
    // Made only for a block that has to wait, which is rare.
    this.#settlement ??= Promise.withResolvers<void>();
    return this.#settlement.promise;
  }

  grant(nowMs: number): void {
    this.grantedAtMs = nowMs;
    this.#settlement?.resolve();
  }

  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#onRelease(this);
    this.#settlement?.resolve();
  }
}
