import test from "ava";
import type { Deadline } from "../../../src/base/deadline.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { BackgroundRuns } from "../../../src/sandbox/background-runs.ts";
import { PendingRun } from "../../../src/sandbox/pending-run.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function begun() {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const caller = new AbortController();
  const expired: number[] = [];
  const runs = new BackgroundRuns(wheel, (id) => expired.push(id));
  const context = { deadline: 100 as Deadline, signal: caller.signal, depth: 3 };
  const run = { hash: "h", function: "f", kind: "function", args: [] } as const;
  const pending = new PendingRun(7, run, context, wheel, () => undefined);
  pending.wasSent = true;
  runs.begin(pending);
  runs.begin(pending);
  pending.succeed(Buffer.from("v"));
  caller.abort();
  return { clock, wheel, expired, runs, context: runs.get(7)?.context };
}

test("a run keeps its deadline and depth after its result, and its caller's abort is none of its own", (t) => {
  const { context, wheel } = begun();
  t.like(context, { deadline: 100, depth: 3, signal: { aborted: false } });
  t.is(wheel.armed, 1);
});

test("at its deadline it is cancelled, and the owner told once", (t) => {
  const { clock, expired, runs, context } = begun();
  clock.advance(500);
  t.deepEqual(expired, [7]);
  t.is(runs.size, 0);
  t.like(context?.signal.reason, { code: "DEADLINE_EXCEEDED" });
});

test("once it is over, nothing of it is left, and its remote calls are not cancelled", (t) => {
  const { clock, wheel, expired, runs, context } = begun();
  runs.drop(7);
  clock.advance(500);
  t.is(runs.size, 0);
  t.is(wheel.armed, 0);
  t.deepEqual(expired, []);
  t.is(context?.signal.aborted, false);
});

test("it is cancelled with its version, and with all", (t) => {
  const { runs, context } = begun();
  runs.cancelVersion("other");
  t.is(runs.size, 1);
  runs.cancelVersion("h");
  t.is(runs.size, 0);
  t.like(context?.signal.reason, { code: "CANCELLED" });
  const all = begun();
  all.runs.cancelAll();
  t.true(all.context?.signal.aborted);
  t.is(all.wheel.armed, 0);
});
