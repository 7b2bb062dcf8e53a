import test from "ava";
import { Quarantine } from "../../../src/sandbox/quarantine.ts";

test("the third death within a minute is once too often, and is told once", (t) => {
  const quarantine = new Quarantine("lib");
  t.false(quarantine.blame(0));
  t.false(quarantine.blame(30_000));
  t.is(quarantine.reason, undefined);
  t.true(quarantine.blame(59_999));
  t.regex(quarantine.reason ?? "", /^library lib is quarantined/);
  t.false(quarantine.blame(60_000));
});

test("deaths further apart are forgotten, and so is everything when it is lifted", (t) => {
  const quarantine = new Quarantine("lib");
  for (let death = 0; death < 10; death++) t.false(quarantine.blame(death * 30_000));
  t.is(quarantine.reason, undefined);
  t.true(quarantine.blame(9 * 30_000 + 1));
  quarantine.lift();
  t.is(quarantine.reason, undefined);
  t.false(quarantine.blame(9 * 30_000 + 2));
});
