import { setImmediate } from "node:timers/promises";
import test from "ava";
import { type Task, TurnQueue } from "../../../src/sandbox/host/turn-queue.ts";

/** A queue, and work that takes time on its clock. */
function startQueue() {
  let nowMs = 0;
  const busy = (ms: number) => {
    nowMs += ms;
  };
  return { queue: new TurnQueue(() => nowMs), busy };
}

function task(run: () => void, mayRunMeanwhile = false): Task {
  return { run, mayRunMeanwhile: () => mayRunMeanwhile };
}

test("a task runs at once where none waits", (t) => {
  const { queue } = startQueue();
  let ran = false;
  queue.push(
    "lib",
    task(() => {
      ran = true;
    }),
  );
  t.true(ran);
});

test("tasks run in order, and the event loop has its turn between slices of them", async (t) => {
  const { queue, busy } = startQueue();
  const order: string[] = [];
  for (const name of ["a", "b", "c", "d"]) {
    queue.push(
      "lib",
      task(() => {
        busy(2);
        order.push(name);
      }),
    );
  }
  t.deepEqual(order, ["a"], "one task fills a slice");
  while (!order.includes("d")) {
    order.push("turn");
    await setImmediate();
  }
  const tasks = order.filter((entry) => entry !== "turn");
  t.deepEqual(tasks, ["a", "b", "c", "d"]);
  t.true(order.length - tasks.length >= 3, "the loop had its turn in between");
});

test("a library with many slow tasks holds another up by one of them", async (t) => {
  const { queue, busy } = startQueue();
  const order: string[] = [];
  const push = (library: string, ms: number) =>
    queue.push(
      library,
      task(() => {
        busy(ms);
        order.push(library);
      }),
    );
  for (let i = 0; i < 5; i++) push("slow", 5);
  for (let i = 0; i < 3; i++) push("quick", 0.1);
  while (order.length < 8) await setImmediate();
  t.deepEqual(order, ["slow", "slow", "quick", "quick", "quick", "slow", "slow", "slow"]);
});

test("thousands of waiting tasks run in order, once each", async (t) => {
  const { queue, busy } = startQueue();
  const order: number[] = [];
  for (let i = 0; i < 5000; i++) {
    queue.push(
      "lib",
      task(() => {
        if (i === 0) busy(2);
        order.push(i);
      }),
    );
  }
  while (order.length < 5000) await setImmediate();
  t.true(order.every((task, index) => task === index));
});

/** The order of tasks of one library, each of which runs what it can in its midst, `busyMs` after it began. */
async function nested(busyMs: number, tasks: Readonly<Record<string, boolean>>): Promise<string> {
  const { queue, busy } = startQueue();
  const order: string[] = [];
  queue.push(
    "lib",
    task(() => busy(1)),
  );
  for (const [name, mayRunMeanwhile] of Object.entries(tasks)) {
    const run = () => {
      order.push(`(${name}`);
      busy(busyMs);
      while (queue.runMeanwhile("lib"));
      order.push(")");
    };
    queue.push("lib", task(run, mayRunMeanwhile));
  }
  const count = Object.keys(tasks).length;
  while (order.length < 2 * count) await setImmediate();
  return order.join("");
}

test("while one task waits, the next ones of its library run in its midst, as far as they may", async (t) => {
  t.is(await nested(0, { a: false, b: true, c: true }), "(a(b(c)))");
  t.is(await nested(0, { a: true, b: false, c: true }), "(a)(b(c))", "the order stays");
});

test("none begins in the midst of another once the event loop is to have its turn", async (t) => {
  t.is(await nested(0.6, { a: true, b: true }), "(a)(b)");
});

test("in the midst of a library's task no other library's runs", async (t) => {
  const { queue, busy } = startQueue();
  const order: string[] = [];
  const say = (text: string) => task(() => order.push(text), true);
  queue.push(
    "lib",
    task(() => busy(1)),
  );
  queue.push(
    "lib",
    task(() => {
      order.push(`lib, and then: ${queue.runMeanwhile("lib")}`);
    }),
  );
  queue.push("other", say("other"));
  while (order.length < 2) await setImmediate();
  t.true(order.includes("lib, and then: false"));
});
