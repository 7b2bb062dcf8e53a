import test from "ava";
import fc from "fast-check";
import { backoffMs } from "../../../src/base/backoff.ts";

test("waits grow up to the cap, and chance takes away half at most", (t) => {
  const limits = { initialMs: 50, maxMs: 1000 };
  t.deepEqual(
    [0, 1, 2, 3, 4, 5, 1_000_000].map((attempt) => backoffMs(attempt, limits, () => 1)),
    [50, 100, 200, 400, 800, 1000, 1000],
  );
  fc.assert(
    fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
      const longest = backoffMs(attempt, limits, () => 1);
      const wait = backoffMs(attempt, limits, () => chance);
      t.true(wait >= longest / 2 && wait <= longest);
    }),
  );
});
