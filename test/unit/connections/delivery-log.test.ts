import test from "ava";
import fc from "fast-check";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { DeliveryLog } from "../../../src/connections/delivery-log.ts";
import { delivery } from "../../../src/connections/session-codec.ts";

const ROOMY = { maxCount: 1000, maxBytes: 1_000_000 };

function content(value: number): Uint8Array {
  return delivery.encode({ sequence: 0, message: payloadOf(value), roomMessage: undefined, missed: undefined });
}

/** What a client makes of the deliveries: numbers, `missed n`, or `unknown`. It ignores what it has. */
class Client {
  readonly heard: (number | string)[] = [];
  received = 0;

  take(log: DeliveryLog, count = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count; i++) {
      const bytes = log.next();
      if (!bytes) return;
      const { sequence, message, missed } = delivery.decode(bytes);
      if (sequence <= this.received) continue;
      this.received = sequence;
      if (missed) this.heard.push(missed.unknown ? "unknown" : `missed ${missed.count}`);
      else if (message) this.heard.push(Number(payloadValue(message)));
    }
  }
}

test("what is pushed comes once, in order", (t) => {
  const [log, client] = [new DeliveryLog(ROOMY), new Client()];
  for (const i of [1, 2, 3]) log.push(content(i));
  client.take(log, 2);
  log.push(content(4));
  client.take(log);
  t.deepEqual(client.heard, [1, 2, 3, 4]);
  t.is(log.next(), undefined);
});

test("what was handed out and not received comes again after a loss, and what was received does not", (t) => {
  const [log, client] = [new DeliveryLog(ROOMY), new Client()];
  for (const i of [1, 2, 3, 4]) log.push(content(i));
  client.take(log, 2);
  log.next();
  log.resume(client.received);
  client.take(log);
  t.deepEqual(client.heard, [1, 2, 3, 4]);
  t.deepEqual(log.behind(2).length, 2);
  log.received(4);
  t.deepEqual(log.behind(0), []);
});

test("a client cannot have received what it was not handed", (t) => {
  const log = new DeliveryLog(ROOMY);
  log.push(content(1));
  log.received(99);
  log.resume(99);
  const client = new Client();
  client.take(log);
  t.deepEqual(client.heard, [1]);
});

test("one that is too large by itself is missed in its place, and drops no other", (t) => {
  const [log, client] = [new DeliveryLog({ maxCount: 1000, maxBytes: 100 }), new Client()];
  log.push(content(1));
  log.push(
    delivery.encode({ sequence: 0, message: payloadOf("x".repeat(200)), roomMessage: undefined, missed: undefined }),
  );
  log.push(content(2));
  client.take(log);
  t.deepEqual(client.heard, [1, "missed 1", 2]);
});

test("a log that was lost says so first", (t) => {
  const client = new Client();
  client.received = 57;
  const log = DeliveryLog.afterLoss(ROOMY, client.received);
  log.push(content(1));
  // Handed to a stream that broke.
  log.next();
  log.resume(client.received);
  client.take(log);
  t.deepEqual(client.heard, ["unknown", 1]);
  log.resume(client.received);
  t.is(log.next(), undefined);
});

test("that a log was lost is said also where no more than one delivery is kept, here and where it moves", (t) => {
  const limits = { maxCount: 1, maxBytes: 1_000_000 };
  let log = DeliveryLog.afterLoss(limits, 0);
  for (let i = 1; i <= 4; i++) log.push(content(i));
  const [here, there] = [new Client(), new Client()];
  here.take(log);
  t.deepEqual(here.heard, ["unknown", "missed 3", 4]);
  log.resume(0);
  log = DeliveryLog.restored(limits, 0, { lastSequence: log.lastSequence, deliveries: log.behind(0) });
  there.take(log);
  t.deepEqual(there.heard, ["unknown", "missed 3", 4]);
  log.received(1);
  log.resume(0);
  t.deepEqual(log.behind(0).length, 1);
});

type Step =
  | { readonly do: "push" }
  | { readonly do: "take"; readonly count: number }
  | { readonly do: "acknowledge" | "lose" | "move" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ do: "push" } as const) },
  { weight: 2, arbitrary: fc.nat({ max: 6 }).map((count) => ({ do: "take", count }) as const) },
  fc.constantFrom("acknowledge", "lose", "move").map((what) => ({ do: what }) as Step),
);

test("whatever happens, what a client hears and what it is told it missed are all that was pushed, each once and in order", (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.integer({ min: 1, max: 8 }), (steps, maxCount) => {
      const limits = { maxCount, maxBytes: 1_000_000 };
      let log = new DeliveryLog(limits);
      const client = new Client();
      let pushed = 0;
      for (const { do: what, ...more } of steps) {
        if (what === "push") log.push(content(++pushed));
        else if (what === "take") client.take(log, "count" in more ? more.count : 0);
        else if (what === "acknowledge") log.received(client.received);
        else {
          // Handed to a stream that broke.
          log.next();
          log.resume(client.received);
          if (what === "move") {
            const state = { lastSequence: log.lastSequence, deliveries: log.behind(client.received) };
            log = DeliveryLog.restored(limits, client.received, state);
          }
        }
      }
      client.take(log);
      let expected = 1;
      for (const heard of client.heard) {
        if (typeof heard === "number") t.is(heard, expected++);
        else expected += Number(heard.slice("missed ".length));
      }
      t.is(expected, pushed + 1);
    }),
    { numRuns: 1000 },
  );
});
