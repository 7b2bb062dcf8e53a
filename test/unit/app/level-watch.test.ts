import test from "ava";
import { LevelWatch } from "../../../src/app/level-watch.ts";
import { createLogger } from "../../../src/telemetry/logger.ts";

/** Levellings that end when told to. */
function controlled() {
  const runs: PromiseWithResolvers<void>[] = [];
  const changes: boolean[] = [];
  const watch: LevelWatch = new LevelWatch({
    level() {
      const run = Promise.withResolvers<void>();
      runs.push(run);
      return run.promise;
    },
    changed: () => changes.push(watch.isLevel),
    logger: createLogger({ level: "silent", format: "json", nodeName: () => "test", secrets: () => [] }),
  });
  return { runs, changes, watch };
}

test("it is level once a levelling has ended, and not one that failed", async (t) => {
  const { runs, changes, watch } = controlled();
  const failing = watch.now();
  runs[0]?.reject(new Error("no record"));
  await failing;
  t.false(watch.isLevel);
  const succeeding = watch.now();
  runs[1]?.resolve();
  await succeeding;
  t.true(watch.isLevel);
  t.deepEqual(changes, [true]);
  watch.stop();
});

test("a levelling that began before the doubt does not end it", async (t) => {
  const { runs, changes, watch } = controlled();
  const before = watch.now();
  watch.doubt();
  runs[0]?.resolve();
  await before;
  t.false(watch.isLevel);
  runs[1]?.resolve();
  await new Promise(setImmediate);
  t.true(watch.isLevel);
  t.deepEqual(changes, [true]);
  watch.stop();
});

test("the doubt is told at once", async (t) => {
  const { runs, changes, watch } = controlled();
  const first = watch.now();
  runs[0]?.resolve();
  await first;
  watch.doubt();
  t.deepEqual(changes, [true, false]);
  watch.stop();
});
