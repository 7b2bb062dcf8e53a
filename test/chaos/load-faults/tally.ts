import type { LoadOutcome } from "./rig.ts";
import type { Scenario } from "./scenario.ts";

interface Row {
  runs: number;
  /** Runs in which the fault came to pass. */
  failed: number;
  ok: number;
  pending: number;
  refused: number;
  /** The caller was not told, and the load is recorded. */
  unknownDone: number;
  unknownNotDone: number;
}

const NONE: Row = { runs: 0, failed: 0, ok: 0, pending: 0, refused: 0, unknownDone: 0, unknownNotDone: 0 };

/** What an error says that leaves it open whether the load was done. */
export const UNKNOWN: ReadonlySet<LoadOutcome> = new Set<LoadOutcome>(["INDETERMINATE", "DEADLINE_EXCEEDED"]);

/** Counts how loads ended, by step, point, coordinator and fault. */
export class Tally {
  readonly #rows = new Map<string, Row>();

  add({ step, point, who, fault, situation }: Scenario, outcome: LoadOutcome, failed: boolean, isDone: boolean): void {
    const name = `${step} ${(point ?? situation).padEnd(18)} ${who.padEnd(5)} ${fault.padEnd(6)}`;
    const row = this.#rows.get(name) ?? { ...NONE };
    this.#rows.set(name, row);
    row.runs++;
    if (failed) row.failed++;
    if (outcome === "OK") row.ok++;
    else if (outcome === "PENDING") row.pending++;
    else if (!UNKNOWN.has(outcome)) row.refused++;
    else if (isDone) row.unknownDone++;
    else row.unknownNotDone++;
  }

  get failed(): number {
    return [...this.#rows.values()].reduce((sum, { failed }) => sum + failed, 0);
  }

  toString(): string {
    const lines = [...this.#rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, row]) => line(name, row));
    return [line("step point who fault".padEnd(34), Object.keys(NONE)), ...lines].join("\n");
  }
}

function line(name: string, cells: Row | readonly string[]): string {
  return `${name} ${Object.values(cells)
    .map((cell) => String(cell).padStart(15))
    .join("")}`;
}
