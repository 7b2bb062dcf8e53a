import type { WriteStream } from "node:tty";

const WIDTH = 30;
/** More often nobody can see it. Unit: ms. */
const PERIOD_MS = 100;
const CLEAR_LINE = "\r\u001b[K";

/** One line that shows how far something is: on a terminal alone, and gone once it is disposed. */
export class ProgressBar implements Disposable {
  readonly #output: WriteStream;
  #isShown = false;
  #drawnMs = Number.NEGATIVE_INFINITY;

  constructor(output: WriteStream = process.stderr) {
    this.#output = output;
  }

  /** `what` is said behind the bar. */
  show(done: number, total: number, what: string): void {
    if (!this.#output.isTTY || performance.now() - this.#drawnMs < PERIOD_MS) return;
    this.#drawnMs = performance.now();
    this.#isShown = true;
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const bar = "#".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, ".");
    this.#output.write(`${CLEAR_LINE}[${bar}] ${Math.floor(share * 100)} % ${what}`);
  }

  [Symbol.dispose](): void {
    if (this.#isShown) this.#output.write(CLEAR_LINE);
  }
}
