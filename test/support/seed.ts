import type { ExecutionContext } from "ava";

/** Numbers from 0 to 1 that a seed decides (mulberry32). */
export type Random = () => number;

/**
 * The randomness of one test. A failure shows the seed that it was logged with; GEARMESH_TEST_SEED=<seed> runs the
 * test with the same numbers again.
 */
export function seededRandom(t: ExecutionContext): Random {
  const seed = Number(process.env["GEARMESH_TEST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
  t.log(`GEARMESH_TEST_SEED=${seed}`);
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
