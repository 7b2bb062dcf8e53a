import test, { type ExecutionContext } from "ava";
import { type CallContext, NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { LockWaits } from "../../../src/cache/lock-waits.ts";
import { faultText } from "../../support/fault-of.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const PERIOD_MS = 20;

function waitsWith(clock: ManualClock, maxWaits = 1000): LockWaits {
  return new LockWaits({ clock, periodMs: PERIOD_MS, maxWaits });
}

function context(timeoutMs = 5000): CallContext {
  return { deadline: deadlineIn(timeoutMs), signal: NEVER_ABORTED, depth: 0 };
}

/** Until what has been answered has had its consequences. */
async function settled(): Promise<void> {
  await new Promise(setImmediate);
}

/** A lock that one at a time may have. */
class Locked {
  isFree = false;
  attempts = 0;

  readonly take = async (): Promise<true | undefined> => {
    this.attempts++;
    if (!this.isFree) return undefined;
    this.isFree = false;
    return true;
  };
}

test("in each round the first one of a key tries, however many wait", async (t) => {
  const clock = new ManualClock();
  const waits = waitsWith(clock);
  const lock = new Locked();
  const got: number[] = [];
  for (let index = 0; index < 100; index++) void waits.until("key", lock.take, context()).then(() => got.push(index));
  t.is(waits.waiting, 100);
  for (let round = 1; round <= 3; round++) {
    clock.advance(PERIOD_MS);
    await settled();
    t.is(lock.attempts, round);
  }
  lock.isFree = true;
  clock.advance(PERIOD_MS);
  await settled();
  t.deepEqual(got, [0], "one got it, in the order they came");
  t.is(waits.waiting, 99);
});

test("what all can have, all get in one round", async (t) => {
  const clock = new ManualClock();
  const waits = waitsWith(clock);
  const all = Array.from({ length: 700 }, () => waits.until("key", async () => "object", context()));
  clock.advance(PERIOD_MS);
  t.deepEqual(new Set(await Promise.all(all)), new Set(["object"]));
  t.is(waits.waiting, 0);
});

test("who is woken tries at once, and once more where that happened meanwhile", async (t) => {
  const waits = waitsWith(new ManualClock());
  const { promise, resolve } = Promise.withResolvers<undefined>();
  let attempts = 0;
  const waiting = waits.until("key", async () => (++attempts === 1 ? promise : "object"), context());
  waits.wake("other");
  t.is(attempts, 0);
  waits.wake("key");
  waits.wake("key");
  t.is(attempts, 1);
  resolve(undefined);
  t.is(await waiting, "object");
  t.is(attempts, 2);
});

test("a fault is its own caller's, and nobody else's", async (t) => {
  const clock = new ManualClock();
  const waits = waitsWith(clock);
  const failing = waits.until("key", () => Promise.reject(new Fault("UNAVAILABLE", "away")), context());
  const other = waits.until("key", async () => 1, context());
  clock.advance(PERIOD_MS);
  t.is(await faultText(failing), "UNAVAILABLE: away");
  t.is(await other, 1);
});

test("who waits too long, or is one too many, is told so, and is forgotten", async (t) => {
  const waits = waitsWith(new ManualClock(), 1);
  const late = waits.until("key", async () => undefined, context(20));
  t.regex(await faultText(waits.until("key", async () => 1, context())), /^RESOURCE_EXHAUSTED: 1 callers/);
  t.regex(await faultText(late), /^DEADLINE_EXCEEDED/);
  t.is(waits.waiting, 0);
});

test("rounds end with the last who waits", async (t: ExecutionContext) => {
  const clock = new ManualClock();
  const waits = waitsWith(clock);
  const lock = new Locked();
  lock.isFree = true;
  const got = waits.until("key", lock.take, context());
  clock.advance(PERIOD_MS);
  await got;
  await settled();
  clock.advance(10 * PERIOD_MS);
  await settled();
  t.is(lock.attempts, 1);
});
