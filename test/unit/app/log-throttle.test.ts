import test from "ava";
import { LogThrottle } from "../../../src/app/log-throttle.ts";

test("one line of a kind passes in each period, and tells how many were left out", (t) => {
  let nowMs = 0;
  const throttle = new LogThrottle({ periodMs: 100, now: () => nowMs });
  t.is(throttle.pass("a"), 0);
  t.is(throttle.pass("a"), undefined);
  t.is(throttle.pass("b"), 0, "kinds do not share a period");
  nowMs = 99;
  t.is(throttle.pass("a"), undefined);
  nowMs = 100;
  t.is(throttle.pass("a"), 2);
  nowMs = 250;
  t.is(throttle.pass("a"), 0);
});
