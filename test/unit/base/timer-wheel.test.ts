import test from "ava";
import fc from "fast-check";
import type { Clock } from "../../../src/base/clock.ts";
import { TICK_MS, Timer, TimerWheel } from "../../../src/base/timer-wheel.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function clockOf(clock: ManualClock): Clock {
  return { now: () => clock.now(), every: clock.every.bind(clock), after: clock.after.bind(clock) };
}

class Probe extends Timer {
  readonly #clock: ManualClock;
  readonly expiredAt: number[] = [];

  constructor(clock: ManualClock) {
    super();
    this.#clock = clock;
  }

  override expire(): void {
    this.expiredAt.push(this.#clock.now());
  }
}

test("each timer expires once, never early, and at most two ticks late, unless it is disarmed before", (t) => {
  const timer = fc.record({
    armAfterMs: fc.integer({ min: 0, max: 300 }),
    delayMs: fc.integer({ min: -50, max: 20_000 }),
    disarmAfterMs: fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(timer, { maxLength: 30 }), (timers) => {
      const clock = new ManualClock(12_345);
      const wheel = new TimerWheel(clock);
      const startMs = clock.now();
      const events = timers.flatMap(({ armAfterMs, delayMs, disarmAfterMs }) => {
        const probe = new Probe(clock);
        const dueMs = startMs + armAfterMs + delayMs;
        const arm = { atMs: armAfterMs, run: () => wheel.arm(probe, dueMs) };
        const disarm = disarmAfterMs === undefined ? undefined : armAfterMs + disarmAfterMs;
        return [
          { ...arm, probe, dueMs: Math.max(dueMs, startMs + armAfterMs), disarmMs: disarm },
          ...(disarm === undefined ? [] : [{ atMs: disarm, run: () => wheel.disarm(probe) }]),
        ];
      });
      for (const { atMs, run } of events.toSorted((a, b) => a.atMs - b.atMs)) {
        clock.advance(startMs + atMs - clock.now());
        run();
      }
      clock.advance(50_000);
      for (const event of events) {
        if (!("probe" in event)) continue;
        const { probe, dueMs, disarmMs } = event;
        const [expiredAt] = probe.expiredAt;
        if (expiredAt === undefined) {
          t.true(disarmMs !== undefined && startMs + disarmMs <= dueMs + 2 * TICK_MS);
        } else {
          t.is(probe.expiredAt.length, 1);
          t.true(expiredAt >= dueMs && expiredAt <= dueMs + 2 * TICK_MS, `due ${dueMs}, expired ${expiredAt}`);
        }
      }
      t.is(wheel.armed, 0);
    }),
  );
});

test("the wheel sleeps until the first timer that is armed, and no longer than that", (t) => {
  const clock = new ManualClock();
  let wakes = 0;
  const counting = {
    ...clockOf(clock),
    after: (delayMs: number, wake: () => void) =>
      clock.after(delayMs, () => {
        wakes++;
        wake();
      }),
  };
  const wheel = new TimerWheel(counting);
  const expired: number[] = [];
  const far = wheel.after(4000, () => expired.push(4000));
  wheel.after(1000, () => expired.push(1000));
  const disarmed = wheel.after(500, () => expired.push(500));
  wheel.disarm(disarmed);
  wheel.disarm(disarmed);
  clock.advance(1500);
  t.deepEqual(expired, [1000]);
  t.is(wakes, 2);
  wheel.disarm(far);
  clock.advance(10_000);
  t.is(wakes, 3);
  t.is(clock.timers, 0);
  wheel.after(100, () => undefined);
  t.is(clock.timers, 1);
});

test("after a stall longer than a turn of the wheel everything due expires at once", (t) => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  let expired = 0;
  for (let delayMs = 10; delayMs <= 30_000; delayMs += 10) wheel.after(delayMs, () => expired++);
  clock.stall(20_000);
  t.is(expired, 2000);
  t.is(wheel.armed, 1000);
});

test("an expiry may arm and disarm others of the same slot", (t) => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const order: string[] = [];
  wheel.after(50, () => {
    order.push("first");
    wheel.disarm(second);
    wheel.after(0, () => order.push("armed by first"));
  });
  const second = wheel.after(50, () => order.push("second"));
  wheel.after(50, () => order.push("third"));
  clock.advance(200);
  t.deepEqual(order, ["first", "third", "armed by first"]);
});
