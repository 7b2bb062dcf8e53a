/** How often it is looked at. Unit: ms. */
const PERIOD_MS = 100;

/** Tells of each change of a value that comes of many others, none of which tells of its own changes in time. */
export class ChangeWatch<T extends string | boolean | undefined> {
  readonly #read: () => T;
  readonly #changed: (value: T) => void;
  #last: { readonly value: T } | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** `changed` is told about each change, and about the beginning. */
  constructor(read: () => T, changed: (value: T) => void) {
    this.#read = read;
    this.#changed = changed;
  }

  start(): void {
    this.look();
    this.#timer = setInterval(() => this.look(), PERIOD_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** At once: for what must be known before the next call is taken. */
  look(): void {
    const value = this.#read();
    if (this.#last && value === this.#last.value) return;
    this.#last = { value };
    this.#changed(value);
  }
}
