import test from "ava";
import { WorkerPool } from "../../../src/tasks/worker-pool.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function poolOf(min: number, max: number) {
  const clock = new ManualClock();
  const pool = new WorkerPool({ min, max, clock, grown: () => undefined });
  pool.start();
  return { clock, pool };
}

/** Tasks that take a millisecond each, one after the other. */
function workShortOnes(pool: WorkerPool, count = 1): void {
  for (let i = 0; i < count; i++) {
    void pool.enter();
    pool.leave(1);
  }
}

test("as many tasks are taken as there are workers, until they are known to be short: then as many again", (t) => {
  const { pool } = poolOf(2, 2);
  t.is(pool.room, 2);
  t.is(pool.enter(), true);
  t.is(pool.room, 1);
  pool.leave(1);
  t.is(pool.room, 4);
  void pool.enter();
  pool.leave(10_000);
  t.is(pool.room, 2);
});

test("one that was taken ahead begins when a worker becomes free, in the order in which they came", async (t) => {
  const { pool } = poolOf(1, 1);
  workShortOnes(pool);
  t.is(pool.enter(), true);
  const begun: string[] = [];
  const waiting = ["first", "second"].map(async (name) => {
    if (await pool.enter()) begun.push(name);
  });
  t.is(pool.room, 0);
  t.is(pool.busy, 1);
  pool.leave(1);
  await waiting[0];
  t.deepEqual(begun, ["first"]);
  t.is(pool.busy, 1);
  pool.leave(1);
  await waiting[1];
  t.deepEqual(begun, ["first", "second"]);
});

test("one that waits too long goes back, and nothing is taken ahead any more until the long ones have ended", async (t) => {
  const { pool, clock } = poolOf(1, 1);
  workShortOnes(pool);
  void pool.enter();
  const waits = pool.enter();
  clock.advance(1000);
  t.is(await waits, false);
  t.is(pool.room, 0);
  pool.leave(1000);
  t.is(pool.room, 1);
  workShortOnes(pool, 200);
  t.is(pool.room, 2);
});

test("those that wait begin when the pool grows, and do not when it is told that they shall not", async (t) => {
  const { pool, clock } = poolOf(1, 2);
  workShortOnes(pool);
  void pool.enter();
  const [first, second] = [pool.enter(), pool.enter()];
  clock.advance(60);
  const third = pool.enter();
  pool.release();
  t.deepEqual(await Promise.all([first, second, third]), [false, false, false]);
  const last = pool.enter();
  clock.advance(40);
  t.is(await last, true);
  t.is(pool.size, 2);
});
