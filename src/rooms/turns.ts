/** Lets what is prepared at the same time happen in the order in which it came, for each key by itself. */
export class Turns {
  /** What ends with the last turn of a key. Never rejects. */
  readonly #last = new Map<string, Promise<void>>();

  /** Whether nothing of the key is under way. */
  isFree(key: string): boolean {
    return !this.#last.has(key);
  }

  /**
   * Calls `act` with what was prepared, once everything of the key that came before has acted or failed. What `act` does must begin before it returns; what it returns must be no promise, or
   * the next turn would wait for it. Rejects as `prepared` does, or with what `act` throws.
   */
  take<Prepared, T extends object>(
    key: string,
    prepared: Promise<Prepared>,
    act: (prepared: Prepared) => T,
  ): Promise<T> {
    const before = this.#last.get(key);
    const turn = inTurn(before, prepared, act);
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, over);
    void over.then(() => {
      if (this.#last.get(key) === over) this.#last.delete(key);
    });
    return turn;
  }
}

async function inTurn<Prepared, T>(
  before: Promise<void> | undefined,
  prepared: Promise<Prepared>,
  act: (prepared: Prepared) => T,
): Promise<T> {
  // Where it fails before its turn, that is told at its turn.
  const [ready] = await Promise.allSettled([prepared, before]);
  if (ready.status === "rejected") throw ready.reason;
  return act(ready.value);
}
