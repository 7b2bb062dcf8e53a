/** Fields that all threads share. */
const MUTEX = 0;
const READERS = 1;
/** Whether somebody holds the lock alone: 0 or 1. */
const WRITER = 2;
const LAST_TICKET = 3;
const SHARED_FIELDS = 4;

/** Fields of one thread. */
const TICKET = 0;
const WANTED = 1;
const GRANTED = 2;
const THREAD_FIELDS = 3;

/** What a thread waits for, as its field says it. */
const WANTS_NOTHING = 0;
const WANTS_SHARED = 1;
const WANTS_ALONE = 2;

export type LockMode = "shared" | "alone";

/**
 * A fair lock for readers and writers in memory that threads share: whoever came first is first, and readers that are next to each other have it
 * together. A thread waits for it without its event loop: the code that wants it is in the midst of a synchronous call.
 */
export class ShardLock {
  readonly #state: Int32Array;
  readonly #thread: number;

  /** `memory` is of `lockMemory`; `thread` is this thread's number, from 0. */
  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#state = new Int32Array(memory);
    this.#thread = thread;
  }

  /** How many threads have it. */
  get holders(): number {
    return Atomics.load(this.#state, READERS) + Atomics.load(this.#state, WRITER);
  }

  /** Waits for `waitMs` at most; false: it was not to be had. A thread must not ask for what it holds. */
  acquire(mode: LockMode, waitMs: number): boolean {
    const wanted = mode === "alone" ? WANTS_ALONE : WANTS_SHARED;
    this.#locked(() => {
      const ticket = Atomics.add(this.#state, LAST_TICKET, 1) + 1;
      this.#set(this.#thread, { ticket, wanted, granted: 0 });
      this.#grant();
    });
    const granted = this.#field(this.#thread, GRANTED);
    if (Atomics.wait(this.#state, granted, 0, waitMs) !== "timed-out") return true;
    return this.#locked(() => {
      if (Atomics.load(this.#state, granted) === 1) return true;
      this.#set(this.#thread, { ticket: 0, wanted: WANTS_NOTHING, granted: 0 });
      // Those behind it waited for it, too.
      this.#grant();
      return false;
    });
  }

  release(mode: LockMode): void {
    this.#locked(() => {
      Atomics.sub(this.#state, mode === "alone" ? WRITER : READERS, 1);
      this.#grant();
    });
  }

  /** Gives the lock to those who have waited longest, as far as they can have it together. */
  #grant(): void {
    for (;;) {
      const thread = this.#first();
      if (thread === undefined || Atomics.load(this.#state, WRITER) > 0) return;
      const alone = Atomics.load(this.#state, this.#field(thread, WANTED)) === WANTS_ALONE;
      if (alone && Atomics.load(this.#state, READERS) > 0) return;
      Atomics.add(this.#state, alone ? WRITER : READERS, 1);
      this.#set(thread, { ticket: 0, wanted: WANTS_NOTHING, granted: 1 });
      Atomics.notify(this.#state, this.#field(thread, GRANTED));
    }
  }

  /** The thread that has waited longest. */
  #first(): number | undefined {
    let first: number | undefined;
    let firstTicket = 0;
    for (let thread = 0; this.#field(thread, 0) < this.#state.length; thread++) {
      if (Atomics.load(this.#state, this.#field(thread, WANTED)) === WANTS_NOTHING) continue;
      const ticket = Atomics.load(this.#state, this.#field(thread, TICKET));
      // By their difference: the count may wrap around.
      if (first !== undefined && ((ticket - firstTicket) | 0) > 0) continue;
      first = thread;
      firstTicket = ticket;
    }
    return first;
  }

  #set(thread: number, { ticket, wanted, granted }: { ticket: number; wanted: number; granted: number }): void {
    Atomics.store(this.#state, this.#field(thread, TICKET), ticket);
    Atomics.store(this.#state, this.#field(thread, WANTED), wanted);
    Atomics.store(this.#state, this.#field(thread, GRANTED), granted);
  }

  #field(thread: number, field: number): number {
    return SHARED_FIELDS + thread * THREAD_FIELDS + field;
  }

  /** Runs `action` while no other thread is in one: a few reads and writes, so that waiting for it is short. */
  #locked<T>(action: () => T): T {
    while (Atomics.compareExchange(this.#state, MUTEX, 0, 1) !== 0) Atomics.wait(this.#state, MUTEX, 1);
    try {
      return action();
    } finally {
      Atomics.store(this.#state, MUTEX, 0);
      Atomics.notify(this.#state, MUTEX, 1);
    }
  }
}

/** Memory for a lock of as many threads. */
export function lockMemory(threads: number): SharedArrayBuffer {
  return new SharedArrayBuffer((SHARED_FIELDS + threads * THREAD_FIELDS) * Int32Array.BYTES_PER_ELEMENT);
}
