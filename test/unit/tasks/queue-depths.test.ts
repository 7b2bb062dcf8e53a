import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import { OTHER_QUEUES, QueueDepths } from "../../../src/tasks/queue-depths.ts";
import { DEFAULT_QUEUE } from "../../../src/tasks/task-id.ts";
import type { TaskCounts } from "../../../src/tasks/task-store.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const EMPTY = { waiting: 0, delayed: 0, active: 0, failed: 0 };
/** As often as queues are measured. */
const PERIOD_MS = 5000;

/** Each queue has the partitions that are given, of which those that begin with `own` are on this node's shard. */
function setup(queues: Readonly<Record<string, readonly string[]>>, order: readonly string[] = []) {
  const clock = new ManualClock();
  const partitions = new Map<string, TaskCounts>();
  const failures: string[] = [];
  const state = { isActive: true, asked: 0, answer: async (counts: TaskCounts) => counts };
  const depths = new QueueDepths({
    store: {
      partition: (id) => ({
        counts() {
          state.asked++;
          return state.answer({ ...EMPTY, completed: 7, ...partitions.get(id) });
        },
      }),
    },
    queues: {
      names: () => Object.keys(queues),
      ownPartitions: (queue) => (queues[queue] ?? []).filter((id) => id.startsWith("own")),
    },
    order,
    isActive: () => state.isActive,
    clock,
    failed: (what) => failures.push(what),
  });
  depths.start();
  return {
    clock,
    depths,
    failures,
    state,
    fill(id: string, counts: Partial<TaskCounts>) {
      partitions.set(id, { ...EMPTY, completed: 0, ...counts });
    },
    async measure() {
      clock.advance(PERIOD_MS);
      await nextTurn();
      return Object.fromEntries(depths.current);
    },
  };
}

test("a queue's depth is that of its partitions on this node's own shard, without what has completed", async (t) => {
  const { fill, measure, depths } = setup({ [DEFAULT_QUEUE]: ["own.0", "other.1", "own.2"], orders: [] }, ["orders"]);
  fill("own.0", { waiting: 1, delayed: 2, active: 3, failed: 4, completed: 5 });
  fill("other.1", { waiting: 100 });
  fill("own.2", { waiting: 10, failed: 20 });
  t.is(depths.current.size, 0, "nothing was measured yet");
  t.deepEqual(await measure(), {
    [DEFAULT_QUEUE]: { waiting: 11, delayed: 2, active: 3, failed: 24 },
    orders: EMPTY,
    [OTHER_QUEUES]: EMPTY,
  });
});

test("queues that clients have named count together, those of the operator by name", async (t) => {
  const queues = { orders: ["own.orders"], "made up": ["own.1"], "made up, too": ["own.2"], [DEFAULT_QUEUE]: [] };
  const { fill, measure } = setup(queues, ["orders"]);
  fill("own.orders", { waiting: 1 });
  fill("own.1", { waiting: 10, active: 1 });
  fill("own.2", { waiting: 100, delayed: 1 });
  t.deepEqual(await measure(), {
    [DEFAULT_QUEUE]: EMPTY,
    orders: { ...EMPTY, waiting: 1 },
    [OTHER_QUEUES]: { waiting: 110, delayed: 1, active: 1, failed: 0 },
  });
});

test("each measurement is of that time, and a node that stands by shows none and asks nobody", async (t) => {
  const { fill, measure, state } = setup({ [DEFAULT_QUEUE]: ["own.0"] });
  fill("own.0", { waiting: 3 });
  t.like(await measure(), { [DEFAULT_QUEUE]: { waiting: 3 } });
  fill("own.0", { waiting: 1 });
  t.like(await measure(), { [DEFAULT_QUEUE]: { waiting: 1 } });
  state.isActive = false;
  const { asked } = state;
  t.deepEqual(await measure(), {});
  t.is(state.asked, asked);
  state.isActive = true;
  t.like(await measure(), { [DEFAULT_QUEUE]: { waiting: 1 } });
});

test("what was measured by a node that stands by when it is through is not shown", async (t) => {
  const { measure, state } = setup({ [DEFAULT_QUEUE]: ["own.0"] });
  state.answer = async (counts) => {
    state.isActive = false;
    return counts;
  };
  t.deepEqual(await measure(), {});
});

test("a Redis that does not answer leaves nothing to show, and is asked again", async (t) => {
  const { fill, measure, state, failures } = setup({ [DEFAULT_QUEUE]: ["own.0"] });
  fill("own.0", { waiting: 3 });
  await measure();
  const { answer } = state;
  state.answer = () => Promise.reject(new Error("away"));
  t.deepEqual(await measure(), {});
  t.is(failures.length, 1);
  state.answer = answer;
  t.like(await measure(), { [DEFAULT_QUEUE]: { waiting: 3 } });
});

test("one measurement is under way at a time, and none begins after the end", async (t) => {
  const { clock, depths, state } = setup({ [DEFAULT_QUEUE]: ["own.0"] });
  const answered = Promise.withResolvers<void>();
  const { answer } = state;
  state.answer = async (counts) => {
    await answered.promise;
    return answer(counts);
  };
  for (let i = 0; i < 5; i++) {
    clock.advance(PERIOD_MS);
    await nextTurn();
  }
  t.is(state.asked, 1);
  answered.resolve();
  await nextTurn();
  t.is(state.asked, 2, "once more for all that was asked meanwhile");
  depths.stop();
  t.is(clock.timers, 0);
});
