import test from "ava";
import { Pace } from "../../../src/base/pace.ts";
import { eventually } from "../../support/eventually.ts";

test("it acts at once, and once more for all that was asked in the period", async (t) => {
  let acts = 0;
  const pace = new Pace(50, () => acts++);
  for (let i = 0; i < 1000; i++) pace.ask();
  t.is(acts, 1);
  // What keeps no process alive needs somebody else who does.
  await eventually(() => acts === 2, { what: "the end of the period" });
  pace.stop();
});

test("what was stopped does not act", async (t) => {
  let acts = 0;
  const pace = new Pace(1, () => acts++);
  pace.ask();
  pace.ask();
  pace.stop();
  const other = new Pace(1, () => acts++);
  other.ask();
  other.ask();
  await eventually(() => acts === 3, { what: "the other one's second act" });
  t.is(acts, 3);
});
