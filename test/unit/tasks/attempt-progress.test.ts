import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { Attempt } from "../../../src/tasks/attempt.ts";
import { AttemptProgress } from "../../../src/tasks/attempt-progress.ts";
import type { StoredTask, TaskPartition } from "../../../src/tasks/task-store.ts";

/** An attempt whose partition writes when it is told to, and what was written. */
function attemptProgress() {
  const written: unknown[] = [];
  const failures: unknown[] = [];
  const writes: PromiseWithResolvers<void>[] = [];
  const partition: Pick<TaskPartition, "id" | "progress"> = {
    id: "queue.0",
    progress(_key, progress) {
      written.push(payloadValue(progress));
      const write = Promise.withResolvers<void>();
      writes.push(write);
      return write.promise;
    },
  };
  const attempt = new Attempt(partition as TaskPartition, { key: "t" } as StoredTask, "token");
  const progress = new AttemptProgress(attempt, (_what, cause) => failures.push(cause));
  return {
    attempt,
    progress,
    written,
    failures,
    told(...values: readonly number[]) {
      for (const value of values) progress.told(payloadOf(value));
    },
    next: () => writes.shift(),
  };
}

test("nothing told is nothing to wait for", (t) => {
  t.is(attemptProgress().progress.writing, undefined);
});

test("one write follows the other, and takes the newest with it", async (t) => {
  const { progress, told, written, next } = attemptProgress();
  told(1, 2, 3);
  const { writing } = progress;
  t.deepEqual(written, [1]);
  next()?.resolve();
  while (written.length < 2) await Promise.resolve();
  told(4);
  t.deepEqual(written, [1, 3]);
  next()?.resolve();
  while (written.length < 3) await Promise.resolve();
  next()?.resolve();
  await writing;
  t.deepEqual(written, [1, 3, 4]);
  t.is(progress.writing, undefined);
  told(5);
  t.deepEqual(written, [1, 3, 4, 5]);
});

test("a write that fails is told of, and the next one follows", async (t) => {
  const { progress, told, written, failures, next } = attemptProgress();
  told(1, 2);
  const { writing } = progress;
  const away = new Fault("UNAVAILABLE", "Redis is away");
  next()?.reject(away);
  while (written.length < 2) await Promise.resolve();
  next()?.resolve();
  await writing;
  t.deepEqual(written, [1, 2]);
  t.deepEqual(failures, [away]);
});

test("nothing is written any more of an attempt that was taken away", async (t) => {
  const { attempt, progress, told, written, next } = attemptProgress();
  told(1, 2);
  attempt.abort();
  const { writing } = progress;
  next()?.resolve();
  await writing;
  told(3);
  t.deepEqual(written, [1]);
  t.is(progress.writing, undefined);
});
