import { getEventListeners } from "node:events";
import test from "ava";
import fc from "fast-check";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { Correlator, type PendingRequest } from "../../../src/mesh/correlator.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const METHOD = 5;
const LIMITS = { maxInFlight: 8, maxInFlightBytes: 1000 };

function setup(limits = LIMITS) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const abandoned: PendingRequest[] = [];
  const correlator = new Correlator({ ...limits, wheel, abandoned: (pending) => abandoned.push(pending) });
  return { clock, wheel, abandoned, correlator };
}

/** What may happen to the requests of one stream, in any order. */
const event = fc.oneof(
  fc.record({
    do: fc.constant("open" as const),
    timeoutMs: fc.integer({ min: 1, max: 500 }),
    bytes: fc.nat({ max: 300 }),
  }),
  fc.record({ do: fc.constantFrom("send", "answer", "fault", "cancel", "mismatch"), at: fc.nat({ max: 20 }) }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.nat({ max: 300 }) }),
  fc.record({ do: fc.constant("lose" as const) }),
);

test("each request is settled exactly once, by what came first, whatever the order", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
      const { clock, wheel, abandoned, correlator } = setup();
      const requests: { pending: PendingRequest; controller: AbortController; outcome: Promise<string> }[] = [];
      const expected: (string | undefined)[] = [];
      const settle = (at: number, outcome: string) => {
        expected[at] ??= outcome;
      };
      const open = () => expected.filter((outcome) => outcome === undefined).length;

      for (const event of events) {
        if (event.do === "open") {
          const controller = new AbortController();
          const context = { deadline: deadlineIn(event.timeoutMs, clock.now()), signal: controller.signal, depth: 0 };
          const bytes = requests.reduce((sum, { pending }, i) => sum + (expected[i] ? 0 : pending.body.length), 0);
          const full = open() >= LIMITS.maxInFlight || bytes + event.bytes > LIMITS.maxInFlightBytes;
          try {
            const pending = correlator.open(METHOD, Buffer.alloc(event.bytes), context);
            t.false(full);
            const outcome = pending.promise.then(
              (result) => `result ${result.length}`,
              (fault: Fault) => fault.code,
            );
            requests.push({ pending, controller, outcome });
            expected.push(undefined);
          } catch (fault) {
            t.true(full && fault instanceof Fault && fault.code === "RESOURCE_EXHAUSTED");
          }
        } else if (event.do === "wait") {
          clock.advance(event.ms);
          // The wheel may be a tick late, never early.
          for (const [i, { pending }] of requests.entries()) {
            if (pending.wheelNext === undefined && expected[i] === undefined) {
              t.true(pending.deadline <= clock.now());
              settle(i, "DEADLINE_EXCEEDED");
            } else if (expected[i] === undefined) {
              t.true(pending.deadline > clock.now() - 20);
            }
          }
        } else if (event.do === "lose") {
          for (const [i, { pending }] of requests.entries()) settle(i, pending.sent ? "INDETERMINATE" : "UNAVAILABLE");
          correlator.failAll("the link was lost");
        } else if ("at" in event) {
          const request = requests[event.at];
          if (request === undefined) continue;
          const { id } = request.pending;
          if (event.do === "send" && expected[event.at] === undefined) request.pending.depart(clock.now());
          if (event.do === "answer") {
            settle(event.at, "result 3");
            correlator.answer({ kind: "response", id, method: METHOD, result: Buffer.alloc(3) });
          }
          if (event.do === "fault") {
            settle(event.at, "MOVED");
            correlator.answer({ kind: "fault", id, code: "MOVED", message: "" });
          }
          if (event.do === "mismatch") {
            settle(event.at, "INTERNAL");
            correlator.answer({ kind: "response", id, method: METHOD + 1, result: Buffer.alloc(3) });
          }
          if (event.do === "cancel") {
            settle(event.at, "CANCELLED");
            request.controller.abort();
          }
        }
        t.is(correlator.inFlight, open());
      }
      for (const [i, { pending }] of requests.entries()) settle(i, pending.sent ? "INDETERMINATE" : "UNAVAILABLE");
      correlator.failAll("the link was lost");
      t.deepEqual(await Promise.all(requests.map(({ outcome }) => outcome)), expected as string[]);
      t.is(correlator.inFlight, 0);
      t.is(wheel.armed, 0);
      for (const { controller } of requests) t.is(getEventListeners(controller.signal, "abort").length, 0);
      const givenUp = expected.filter((outcome) => outcome === "CANCELLED" || outcome === "DEADLINE_EXCEEDED");
      t.is(abandoned.length, givenUp.length);
    }),
  );
});

test("a context that is over opens nothing", (t) => {
  const { clock, wheel, correlator } = setup();
  const { signal } = new AbortController();
  const code = (act: () => unknown) => t.throws(act, { instanceOf: Fault })?.code;
  const body = Buffer.alloc(1);
  t.is(
    code(() => correlator.open(METHOD, body, { deadline: deadlineIn(0, clock.now()), signal, depth: 0 })),
    "DEADLINE_EXCEEDED",
  );
  const reason = new Fault("DEADLINE_EXCEEDED", "the outer call's");
  const deadline = deadlineIn(1000, clock.now());
  t.is(
    code(() => correlator.open(METHOD, body, { deadline, signal: AbortSignal.abort(reason), depth: 0 })),
    "DEADLINE_EXCEEDED",
  );
  t.is(
    code(() => correlator.open(METHOD, body, { deadline, signal: AbortSignal.abort(), depth: 0 })),
    "CANCELLED",
  );
  t.is(correlator.inFlight, 0);
  t.is(wheel.armed, 0);
});

test("what is left of the time is taken as the request departs", (t) => {
  const { clock, correlator } = setup();
  const { signal } = new AbortController();
  const pending = correlator.open(METHOD, Buffer.alloc(1), {
    deadline: deadlineIn(1000, clock.now()),
    signal,
    depth: 3,
  });
  pending.promise.catch(() => undefined);
  clock.advance(400);
  pending.depart(clock.now());
  t.is(pending.timeoutMs, 600);
  t.is(pending.depth, 3);
  correlator.failAll("the link was lost");
});

test("a fault with a code of a newer release keeps its text", async (t) => {
  const { clock, correlator } = setup();
  const { signal } = new AbortController();
  const { id, promise } = correlator.open(METHOD, Buffer.alloc(1), {
    deadline: deadlineIn(1000, clock.now()),
    signal,
    depth: 0,
  });
  correlator.answer({ kind: "fault", id, code: "NOT_YET_KNOWN", message: "of tomorrow" });
  const fault = await t.throwsAsync(promise, { instanceOf: Fault });
  t.is(fault?.code, "INTERNAL");
  t.is(fault?.message, "NOT_YET_KNOWN: of tomorrow");
});
