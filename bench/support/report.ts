import { mkdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One comparison. `ratio` is ours / peer. */
export interface Row {
  readonly case: string;
  readonly metric: string;
  readonly unit: string;
  readonly ours: number;
  readonly peer: number;
  readonly peerName: string;
  readonly ratio: number;
}

export function row(fields: Omit<Row, "ratio">): Row {
  const { ours, peer } = fields;
  return { ...fields, ours: round(ours), peer: round(peer), ratio: round(ours / peer) };
}

/** Prints the rows as a table and writes them to bench/results/. */
export function report(name: string, rows: readonly Row[]): void {
  printTable(
    ["case", "metric", "unit", "ours", "peer", "peer is", "ratio"],
    rows.map(({ case: name, metric, unit, ours, peer, peerName, ratio }) => {
      return [name, metric, unit, ours, peer, peerName, ratio].map(String);
    }),
  );
  const directory = new URL("../results/", import.meta.url);
  mkdirSync(directory, { recursive: true });
  const file = new URL(`${name}.json`, directory);
  writeFileSync(file, `${JSON.stringify(rows, undefined, 2)}\n`);
  console.log(`written to ${fileURLToPath(file)}`);
}

/** Columns as wide as their widest cell; numbers to the right. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, column) => {
    return Math.max(title.length, ...rows.map((cells) => cells[column]?.length ?? 0));
  });
  for (const cells of [header, ...rows]) {
    const padded = cells.map((cell, column) => {
      const width = widths[column] ?? 0;
      return /^-?[\d.]+$/.test(cell) ? cell.padStart(width) : cell.padEnd(width);
    });
    console.log(padded.join("  ").trimEnd());
  }
}

/** Four significant digits: what lies beyond is noise. */
function round(value: number): number {
  return Number(value.toPrecision(4));
}
