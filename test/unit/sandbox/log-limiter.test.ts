import test from "ava";
import { LogLimiter } from "../../../src/sandbox/host/log-limiter.ts";

test("lines beyond the limit are dropped, and the next second says how many", (t) => {
  let now = 0;
  const limiter = new LogLimiter(() => now);
  const taken = Array.from({ length: 107 }, (_, line) => limiter.take(`line ${line}`)).filter(
    (line) => line !== undefined,
  );
  t.is(taken.length, 100);
  now = 1000;
  t.is(limiter.take("next"), "next (after 7 lines that were dropped: too many in a second)");
  t.is(limiter.take("then"), "then");
});
