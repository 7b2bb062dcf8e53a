import { Buffer } from "node:buffer";
import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { QueueBudget } from "../../../src/base/queue-budget.ts";
import type { StoredState } from "../../../src/storage/storage-store.ts";
import { StorageWatch } from "../../../src/storage/storage-watch.ts";

const LIMITS = { maxChanges: 3, maxBytes: 10_000 };

function watchOf(budget = new QueueBudget(1_000_000), limits = LIMITS) {
  const missed: number[] = [];
  const watch = new StorageWatch({
    range: { kind: "prefix", prefix: "" },
    limits,
    budget,
    missed: (count) => missed.push(count),
    closed: () => undefined,
  });
  return { watch, missed, budget };
}

function there(revision: number, bytes = 10): StoredState {
  return { revision, value: Buffer.alloc(bytes, 1), leaseId: undefined };
}

function gone(revision: number): StoredState {
  return { revision, value: undefined, leaseId: undefined };
}

function listed(key: string, state: StoredState) {
  return { key, ...state };
}

/** What can be taken, as `key@revision`, or `!key@revision` where it is gone. */
function taken(watch: StorageWatch): string[] {
  const changes: string[] = [];
  for (let entry = watch.take(); entry; entry = watch.take()) {
    changes.push(`${entry.value ? "" : "!"}${entry.key}@${entry.revision}`);
  }
  return changes;
}

test("of a key the last change alone waits, behind those of others that came before", (t) => {
  const { watch, budget } = watchOf();
  watch.endState();
  watch.offer("a", there(1), true);
  watch.offer("b", there(2), true);
  watch.offer("a", there(3), false);
  watch.offer("b", gone(4), false);
  t.deepEqual(taken(watch), ["a@3", "!b@4"]);
  t.is(budget.bytes, 0);
});

test("a page of the state says nothing of a key that has changed since it was read", (t) => {
  const { watch } = watchOf();
  watch.beginState();
  watch.offer("a", there(5), false);
  watch.offer("b", gone(6), true);
  const page = [listed("a", there(4)), listed("b", there(3)), listed("c", there(2))];
  t.deepEqual(
    watch.admit(page).map(({ key }) => key),
    ["c"],
  );
  // Also where it was taken meanwhile.
  t.deepEqual(taken(watch), ["a@5", "!b@6"]);
  t.deepEqual(watch.admit([listed("a", there(4)), listed("a", there(7))]).length, 1);
});

test("what a page of the state shows is not followed by an older change that was queued before", (t) => {
  const { watch, budget } = watchOf();
  watch.offer("a", there(1), true);
  watch.offer("b", gone(2), false);
  watch.beginState();
  const page = [listed("a", there(3)), listed("b", there(4))];
  t.deepEqual(watch.admit(page), page);
  watch.endState();
  t.deepEqual(taken(watch), []);
  t.is(budget.bytes, 0);
});

test("the end of a key that nobody knew of is no change, once the state was shown", (t) => {
  const { watch } = watchOf();
  watch.endState();
  watch.offer("a", gone(1), true);
  t.deepEqual(taken(watch), []);
});

test("what finds no room is counted, with all that waits, until the state is shown anew", (t) => {
  const { watch, missed, budget } = watchOf();
  watch.endState();
  for (const [index, key] of ["a", "b", "c", "d", "e"].entries()) watch.offer(key, there(index + 1), true);
  t.deepEqual(taken(watch), []);
  t.is(watch.takeMissed(), 5);
  t.is(watch.takeMissed(), 0);
  t.is(
    missed.reduce((sum, count) => sum + count),
    5,
  );
  t.is(budget.bytes, 0);
  watch.beginState();
  watch.offer("f", there(6), true);
  t.deepEqual(taken(watch), ["f@6"]);
});

test("bytes are bounded for each watcher, and for all together", (t) => {
  const budget = new QueueBudget(20_000);
  const [one, other] = [watchOf(budget), watchOf(budget)];
  const third = watchOf(budget);
  for (const { watch } of [one, other, third]) watch.endState();
  one.watch.offer("a", there(1, 20_000), true);
  t.is(one.watch.takeMissed(), 1);
  one.watch.offer("a", there(1, 9000), true);
  other.watch.offer("a", there(1, 9000), true);
  third.watch.offer("a", there(1, 9000), true);
  t.deepEqual(
    [one, other, third].map(({ watch }) => watch.takeMissed()),
    [0, 0, 1],
  );
  one.watch.close();
  other.watch.close();
  t.is(budget.bytes, 0);
});

test("news wake who waits for them, and so does the end", async (t) => {
  const { watch } = watchOf();
  watch.endState();
  const woken = watch.news();
  watch.offer("a", there(1), true);
  await woken;
  t.deepEqual(taken(watch), ["a@1"]);
  const ended = watch.news();
  watch.fail(new Fault("UNAVAILABLE", "gone"));
  await ended;
  t.throws(() => watch.take(), { message: "gone" });
  watch.offer("a", there(2), false);
  await watch.news();
  t.throws(() => watch.take(), { message: "gone" });
});
