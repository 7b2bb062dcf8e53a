import { type Call, measureLatencyUs, measureRate } from "./load.ts";
import { median } from "./statistics.ts";

/** Many and short: what a machine gives changes within seconds, and for some of them at a time. */
const ROUNDS = 63;
const MEASURE_MS = 350;

/** A median over all rounds for each subject, such as a call. Rounds interleave, so that what else the machine does hits all alike. */
export async function medians<Name extends string, Subject>(
  subjects: Readonly<Record<Name, Subject>>,
  measure: (subject: Subject, durationMs: number) => Promise<number>,
): Promise<Readonly<Record<Name, number>>> {
  const names = Object.keys(subjects) as Name[];
  const results = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) results.get(name)?.push(await measure(subjects[name], MEASURE_MS));
  }
  return Object.fromEntries(names.map((name) => [name, median(results.get(name) ?? [])])) as Record<Name, number>;
}

/** Until V8 has compiled what is hot, for many calls at a time and for one. Units: ms. */
export async function warmUp(calls: Iterable<Call>, { manyMs, aloneMs }: { manyMs: number; aloneMs: number }) {
  for (const call of calls) {
    await measureRate(call, 64, manyMs);
    await measureLatencyUs(call, aloneMs);
  }
}
