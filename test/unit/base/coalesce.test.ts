import test from "ava";
import { coalesce } from "../../../src/base/coalesce.ts";

/** Runs that end when told to. */
function controlled() {
  const runs: PromiseWithResolvers<number>[] = [];
  const ask = coalesce(() => {
    const run = Promise.withResolvers<number>();
    runs.push(run);
    return run.promise;
  });
  return { runs, ask };
}

test("everyone who asks during a run shares the next one", async (t) => {
  const { runs, ask } = controlled();
  const first = ask();
  const later = [ask(), ask(), ask()];
  t.is(runs.length, 1);
  runs[0]?.resolve(1);
  t.is(await first, 1);
  // The first run is over, the second has only just begun: this one may join it or wait for a third, but not start one beside it.
  await new Promise(setImmediate);
  t.is(runs.length, 2);
  runs[1]?.resolve(2);
  t.deepEqual(await Promise.all(later), [2, 2, 2]);
  await new Promise(setImmediate);
  t.is(runs.length, 2);
});

test("never do two runs go on at once, even in the turn between them", async (t) => {
  let running = 0;
  let most = 0;
  const ask = coalesce(async () => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
  });
  const asked: Promise<void>[] = [];
  for (let turn = 0; turn < 50; turn++) {
    asked.push(ask());
    await Promise.resolve();
  }
  await Promise.all(asked);
  t.is(most, 1);
});

test("a run that fails fails those who share it, and the next one runs", async (t) => {
  const { runs, ask } = controlled();
  const first = ask();
  const second = ask();
  runs[0]?.reject(new Error("no Redis"));
  await t.throwsAsync(first, { message: "no Redis" });
  await new Promise(setImmediate);
  runs[1]?.resolve(2);
  t.is(await second, 2);
  const third = ask();
  runs[2]?.resolve(3);
  t.is(await third, 3);
});
