import test from "ava";
import { type Deadline, deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { PendingRun } from "../../../src/sandbox/pending-run.ts";
import { ManualClock } from "../../support/manual-clock.ts";

function pending(deadline: Deadline = deadlineIn(60_000)) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const caller = new AbortController();
  const givenUp: number[] = [];
  const context = { deadline, signal: caller.signal, depth: 0 };
  const run = { hash: "h", function: "f", kind: "function", args: [] } as const;
  return { clock, wheel, caller, givenUp, run: new PendingRun(7, run, context, wheel, ({ id }) => givenUp.push(id)) };
}

test("a result settles the run and lets go of its deadline and its caller", async (t) => {
  const { wheel, caller, givenUp, run } = pending();
  run.succeed(Buffer.from("v"));
  caller.abort();
  t.deepEqual(await run.result, Buffer.from("v"));
  t.is(wheel.armed, 0);
  t.deepEqual(givenUp, []);
});

test("a caller that gives up cancels it", async (t) => {
  const { wheel, caller, givenUp, run } = pending();
  caller.abort();
  const fault = await t.throwsAsync(run.result, { instanceOf: Fault });
  t.is(fault?.code, "CANCELLED");
  t.deepEqual(givenUp, [7]);
  t.is(wheel.armed, 0);
});

test("an abort at the deadline, and the deadline itself, are the deadline", async (t) => {
  const aborted = pending(deadlineIn(-1));
  aborted.caller.abort();
  const passed = pending(100 as Deadline);
  passed.clock.advance(200);
  for (const { run, givenUp } of [aborted, passed]) {
    const fault = await t.throwsAsync(run.result, { instanceOf: Fault });
    t.is(fault?.code, "DEADLINE_EXCEEDED");
    t.deepEqual(givenUp, [7]);
  }
});
