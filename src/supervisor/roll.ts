/** The instances that are still to be started again, one at a time, and the one whose turn it is. */
export class Roll {
  #waiting: readonly string[] = [];
  #current: { readonly redis: string; readonly giveUpAtMs: number } | undefined;

  get isUnderWay(): boolean {
    return this.#current !== undefined || this.#waiting.length > 0;
  }

  /** The instance whose turn it is. */
  get current(): string | undefined {
    return this.#current?.redis;
  }

  /** All of these, once those that wait already had their turn: asked twice, no instance waits twice. */
  add(redises: readonly string[]): void {
    this.#waiting = [...new Set([...this.#waiting, ...redises])];
  }

  /** The next one has its turn, until `giveUpAtMs` at most. Undefined where none waits. */
  next(giveUpAtMs: number): string | undefined {
    const [redis, ...waiting] = this.#waiting;
    this.#waiting = waiting;
    this.#current = redis === undefined ? undefined : { redis, giveUpAtMs };
    return redis;
  }

  isLate(nowMs: number): boolean {
    return this.#current !== undefined && nowMs >= this.#current.giveUpAtMs;
  }

  /** This instance is no more. */
  forget(redis: string): void {
    this.#waiting = this.#waiting.filter((waiting) => waiting !== redis);
    if (this.#current?.redis === redis) this.#current = undefined;
  }

  /** Lets all that wait stay as they are. */
  end(): void {
    this.#waiting = [];
    this.#current = undefined;
  }
}
