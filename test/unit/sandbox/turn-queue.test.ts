import { setImmediate } from "node:timers/promises";
import test from "ava";
import { TurnQueue } from "../../../src/sandbox/host/turn-queue.ts";

function busy(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test("a task runs at once where none waits", (t) => {
  const queue = new TurnQueue();
  let ran = false;
  queue.push("lib", () => {
    ran = true;
  });
  t.true(ran);
});

test("tasks run in order, and the event loop has its turn between slices of them", async (t) => {
  const queue = new TurnQueue();
  const order: string[] = [];
  for (const name of ["a", "b", "c", "d"]) {
    queue.push("lib", () => {
      busy(2);
      order.push(name);
    });
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
  const queue = new TurnQueue();
  const order: string[] = [];
  const push = (library: string, ms: number) =>
    queue.push(library, () => {
      busy(ms);
      order.push(library);
    });
  for (let i = 0; i < 5; i++) push("slow", 5);
  for (let i = 0; i < 3; i++) push("quick", 0.1);
  while (order.length < 8) await setImmediate();
  t.deepEqual(order, ["slow", "slow", "quick", "quick", "quick", "slow", "slow", "slow"]);
});

test("thousands of waiting tasks run in order, once each", async (t) => {
  const queue = new TurnQueue();
  const order: number[] = [];
  for (let i = 0; i < 5000; i++) {
    queue.push("lib", () => {
      if (i === 0) busy(2);
      order.push(i);
    });
  }
  while (order.length < 5000) await setImmediate();
  t.true(order.every((task, index) => task === index));
});
