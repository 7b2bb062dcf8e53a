import test from "ava";
import { PacedProgress } from "../../../src/sandbox/host/paced-progress.ts";
import { eventually } from "../../support/eventually.ts";

test("what is told first is reported at once, and of what follows the newest", async (t) => {
  const reported: unknown[] = [];
  const progress = new PacedProgress((newest) => reported.push(newest));
  for (let i = 0; i < 1000; i++) progress.told(String(i));
  t.deepEqual(reported, ["0"]);
  await eventually(() => reported.length === 2, { what: "the end of the period" });
  t.deepEqual(reported, ["0", "999"]);
  progress.settling();
  t.is(reported.length, 2);
});

test("the last one is reported before its run is answered, and once", async (t) => {
  const reported: unknown[] = [];
  const progress = new PacedProgress((newest) => reported.push(newest));
  progress.told("0");
  progress.told("1");
  progress.settling();
  t.deepEqual(reported, ["0", "1"]);
  const other = new PacedProgress((newest) => reported.push(newest));
  other.told("2");
  other.told("3");
  await eventually(() => reported.length === 4, { what: "the end of another one's period" });
  t.deepEqual(reported, ["0", "1", "2", "3"]);
});
