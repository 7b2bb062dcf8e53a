import test from "ava";
import fc from "fast-check";
import { QueueBudget } from "../../../src/base/queue-budget.ts";
import { SubscriberQueue } from "../../../src/pubsub/subscriber-queue.ts";

const LIMITS = { maxMessages: 3, maxBytes: 100 };

function queue(limits = LIMITS, budget = new QueueBudget(1000)) {
  return new SubscriberQueue(limits, budget);
}

/** A message that can be told from others. */
function numbered(number: number, bytes = 4): Buffer {
  const message = Buffer.alloc(Math.max(4, bytes));
  message.writeUInt32BE(number);
  return message;
}

/** What comes out, as numbers of messages and `missed n`. */
function takeAll(from: SubscriberQueue): (number | string)[] {
  const seen: (number | string)[] = [];
  for (let taken = from.take(); taken; taken = from.take()) {
    seen.push("event" in taken ? Buffer.from(taken.event).readUInt32BE() : `missed ${taken.missed}`);
  }
  return seen;
}

test("what finds no room is dropped, and said to be missed in its place", (t) => {
  const subject = queue();
  for (const number of [0, 1, 2]) t.true(subject.push(numbered(number)));
  for (const number of [3, 4]) t.false(subject.push(numbered(number)));
  t.deepEqual(subject.take(), { event: numbered(0) });
  t.true(subject.push(numbered(5)));
  t.false(subject.push(numbered(6)));
  t.deepEqual(takeAll(subject), [1, 2, "missed 2", 5, "missed 1"]);
  t.is(subject.take(), undefined);
});

test("bytes are bounded like messages, but an empty queue takes any message", (t) => {
  const subject = queue();
  t.true(subject.push(numbered(0, 5000)));
  t.false(subject.push(numbered(1)));
  t.deepEqual(takeAll(subject), [0, "missed 1"]);
  t.true(subject.push(numbered(2, 60)));
  t.true(subject.push(numbered(3, 40)));
  t.false(subject.push(numbered(4)));
});

test("queues share the node's budget; one that is empty takes a message all the same", (t) => {
  const budget = new QueueBudget(100);
  const [slow, fast] = [queue({ maxMessages: 99, maxBytes: 999 }, budget), queue(LIMITS, budget)];
  for (const number of [0, 1]) t.true(slow.push(numbered(number, 50)));
  t.false(slow.push(numbered(2)));
  for (const number of [3, 4, 5]) {
    t.true(fast.push(numbered(number)));
    t.deepEqual(takeAll(fast), [number]);
  }
  slow.clear();
  t.is(budget.bytes, 0);
  t.is(slow.take(), undefined);
});

const action = fc.oneof(
  fc.record({ push: fc.integer({ min: 4, max: 150 }) }),
  fc.constant({ take: true as const }),
  fc.constant({ miss: true as const }),
);
const limits = fc.record({ maxMessages: fc.integer({ min: 1, max: 5 }), maxBytes: fc.integer({ min: 4, max: 200 }) });

test("what is taken, with what is said to be missed, is exactly what was pushed, in order; memory stays bounded", (t) => {
  fc.assert(
    fc.property(limits, fc.integer({ min: 10, max: 300 }), fc.array(action), (ofQueue, maxQueued, actions) => {
      const budget = new QueueBudget(maxQueued);
      const subject = queue(ofQueue, budget);
      let pushed = 0;
      let accounted = 0;
      const account = (): boolean => {
        const taken = subject.take();
        if (!taken) return false;
        if ("event" in taken) t.is(Buffer.from(taken.event).readUInt32BE(), accounted++);
        else accounted += taken.missed;
        return true;
      };
      for (const each of actions) {
        if ("push" in each) subject.push(numbered(pushed++, each.push));
        else if ("take" in each) account();
        else {
          subject.miss();
          pushed++;
        }
        t.true(budget.bytes <= Math.max(maxQueued, 150));
      }
      while (account());
      t.is(accounted, pushed);
      t.is(budget.bytes, 0);
    }),
  );
});
