import { median } from "./statistics.ts";

/** One call and its answer. */
export type Call = () => Promise<unknown>;

/** Calls a second, with `inFlight` of them under way at any time for `durationMs`. */
export async function measureRate(call: Call, inFlight: number, durationMs: number): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + durationMs;
  let calls = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await call();
      calls++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return calls / ((performance.now() - startMs) / 1000);
}

/** Median time of one call at a time, in microseconds. */
export async function measureLatencyUs(call: Call, durationMs: number): Promise<number> {
  const endMs = performance.now() + durationMs;
  const times: number[] = [];
  for (let beforeMs = performance.now(); beforeMs < endMs; ) {
    await call();
    const afterMs = performance.now();
    times.push((afterMs - beforeMs) * 1000);
    beforeMs = afterMs;
  }
  return median(times);
}
