import test from "ava";
import fc from "fast-check";
import { TICK_MS, Timer, TimerWheel } from "../../../src/base/timer-wheel.ts";
import { ManualClock } from "../../support/manual-clock.ts";

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

test("the interval runs only while timers are armed", (t) => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  t.is(clock.tickers, 0);
  const timer = wheel.after(100, () => undefined);
  t.is(clock.tickers, 1);
  wheel.disarm(timer);
  wheel.disarm(timer);
  clock.advance(TICK_MS);
  t.is(clock.tickers, 0);
  wheel.after(100, () => undefined);
  t.is(clock.tickers, 1);
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
