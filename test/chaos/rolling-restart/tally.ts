import { Fault } from "../../../src/base/fault.ts";

interface Row {
  calls: number;
  readonly onlyReads: boolean;
  /** How many ended with each code. */
  readonly faults: Map<string, number>;
  longestMs: number;
}

/** Which calls were made, and how they ended. */
export class Tally {
  readonly #rows = new Map<string, Row>();
  /** Of each kind of failure the first one's text. */
  readonly #texts = new Map<string, string>();

  /** Makes the call and notes how it ended. Never rejects. */
  async note(what: string, onlyReads: boolean, call: () => Promise<unknown>): Promise<void> {
    const begunMs = performance.now();
    try {
      await call();
    } catch (thrown) {
      this.failed(what, onlyReads, thrown);
    }
    const row = this.#row(what, onlyReads);
    row.calls++;
    row.longestMs = Math.max(row.longestMs, performance.now() - begunMs);
  }

  failed(what: string, onlyReads: boolean, thrown: unknown): void {
    const code = thrown instanceof Fault ? thrown.code : "ERROR";
    const { faults } = this.#row(what, onlyReads);
    faults.set(code, (faults.get(code) ?? 0) + 1);
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    if (!this.#texts.has(`${what}: ${code}`)) this.#texts.set(`${what}: ${code}`, text);
  }

  /** How often each kind of call was made. */
  counts(): ReadonlyMap<string, number> {
    const called = [...this.#rows].filter(([, { calls }]) => calls > 0);
    return new Map(called.map(([what, { calls }]) => [what, calls]));
  }

  /** What a rolling restart must not bring: any failure but INDETERMINATE of what may have an effect. */
  unexpected(): readonly string[] {
    return [...this.#rows].flatMap(([what, { onlyReads, faults }]) =>
      [...faults]
        .filter(([code]) => onlyReads || code !== "INDETERMINATE")
        .map(([code, count]) => `${what}: ${count} x ${code}, first: ${this.#texts.get(`${what}: ${code}`)}`),
    );
  }

  table(): string {
    const lines = [...this.#rows].map(([what, { calls, onlyReads, faults, longestMs }]) => {
      const failed = [...faults].map(([code, count]) => `${count} ${code}`).join(", ") || "0";
      return [what.padEnd(44), onlyReads ? "reads " : "writes", String(calls).padStart(7)]
        .concat(`${Math.round(longestMs)} ms`.padStart(9), `  ${failed}`)
        .join(" ");
    });
    return [`${"what".padEnd(51)}   calls   longest   failed`, ...lines].join("\n");
  }

  #row(what: string, onlyReads: boolean): Row {
    const known = this.#rows.get(what);
    if (known) return known;
    const row: Row = { calls: 0, onlyReads, faults: new Map(), longestMs: 0 };
    this.#rows.set(what, row);
    return row;
  }
}
