import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import fc from "fast-check";
import type { CallContext, CallSignal } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import type { Envelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../../src/mesh/frame-codec.ts";
import type { StreamLimits } from "../../../src/mesh/limits.ts";
import { type Handler, METHOD } from "../../../src/mesh/method.ts";
import { Requester } from "../../../src/mesh/requester.ts";
import { Responder } from "../../../src/mesh/responder.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { PairedStream } from "../../support/stream-pair.ts";

const LIMITS: StreamLimits = { maxInFlight: 16, maxInFlightBytes: 10_000, maxEnvelopeBytes: 5000 };

interface Options {
  readonly requesting?: Partial<StreamLimits>;
  readonly responding?: Partial<StreamLimits>;
}

/** Both ends of a stream, with time that stands still. */
function setup(handler: Handler, { requesting, responding }: Options = {}) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const [near, far] = PairedStream.create();
  const closed: Fault[] = [];
  const causes: unknown[] = [];
  const settled: [number, string, number][] = [];
  const requester = new Requester({
    nodeId: "far",
    stream: near,
    wheel,
    limits: { ...LIMITS, ...requesting },
    events: { closed: (fault) => closed.push(fault) },
  });
  const responder = new Responder({
    stream: far,
    handlers: new Map([[METHOD.CALL, handler]]),
    wheel,
    limits: { ...LIMITS, ...responding },
    defaultTimeoutMs: 700,
    pong: ({ epoch }) => ({ topologyHash: "far's", confirmation: Buffer.from([epoch]), nodeName: "far" }),
    events: {
      handlerFailed: (_method, cause) => causes.push(cause),
      settled: (...each) => settled.push(each),
    },
  });
  near.listen(requester);
  far.listen(responder);
  const context = (timeoutMs = 1000, signal = new AbortController().signal): CallContext => ({
    deadline: deadlineIn(timeoutMs, clock.now()),
    signal,
    depth: 2,
  });
  const request = (bytes: number | Uint8Array = 1, given = context()) =>
    requester.request(METHOD.CALL, typeof bytes === "number" ? Buffer.alloc(bytes) : bytes, given);
  /** What the answering end sent, outside of the requester. */
  const answers = () => far.sent.flatMap(decodeFrame);
  return { clock, wheel, near, far, requester, responder, closed, causes, settled, context, request, answers };
}

async function turns(count = 4): Promise<void> {
  for (let i = 0; i < count; i++) await nextTurn();
}

/** The code a promise is rejected with. */
function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "OK",
    (error: unknown) => (error instanceof Fault ? error.code : `not a fault: ${error}`),
  );
}

const never: Handler = () => new Promise(() => undefined);

test("a request is answered, with its depth and its remaining time", async (t) => {
  const seen: { deadline: number; depth: number }[] = [];
  const { clock, request } = setup(async (body, { deadline, depth }) => {
    seen.push({ deadline, depth });
    return Buffer.from(`${body.length}`);
  });
  t.is(Buffer.from(await request(7)).toString(), "7");
  t.deepEqual(seen, [{ deadline: clock.now() + 1000, depth: 2 }]);
});

test("every kind of failure arrives as its fault, and a bug's cause stays here", async (t) => {
  const bug = new TypeError("a secret detail");
  const { request, requester, context, causes } = setup((body) => {
    if (body[0] === 1) return Promise.reject(new Fault("MOVED", "to another shard"));
    if (body[0] === 2) return Promise.reject(bug);
    if (body[0] === 3) throw bug;
    return Promise.resolve(Buffer.alloc(6000));
  });
  t.is(await codeOf(request(Buffer.from([1]))), "MOVED");
  const hidden = await t.throwsAsync(request(Buffer.from([2])), { instanceOf: Fault });
  t.is(hidden?.message, "internal error");
  t.is(await codeOf(request(Buffer.from([3]))), "INTERNAL");
  t.deepEqual(causes, [bug, bug]);
  t.is(await codeOf(request(Buffer.from([4]))), "RESOURCE_EXHAUSTED");
  t.is(await codeOf(requester.request(99, Buffer.alloc(1), context())), "UNIMPLEMENTED");
});

test("whoever watches is told of each request once: by which code it was answered, and how long after it came", async (t) => {
  const abort = new AbortController();
  const { clock, request, requester, responder, context, settled } = setup((body, { signal }) => {
    if (body.length === 1) return Promise.resolve(body);
    if (body.length === 2) return Promise.reject(new Fault("UNKNOWN_ROOM", "no such room"));
    if (body.length === 3) return Promise.resolve(Buffer.alloc(6000));
    return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  });
  await Promise.allSettled([request(1), request(2), request(3), requester.request(99, Buffer.alloc(1), context())]);
  const late = codeOf(request(4, context(50)));
  const cancelled = codeOf(request(4, context(1000, abort.signal)));
  const lost = codeOf(request(4));
  await turns();
  clock.advance(70);
  abort.abort();
  await Promise.all([late, cancelled, turns()]);
  clock.advance(100);
  responder.close(new Fault("UNAVAILABLE", "over"));
  await lost;
  await turns();
  t.deepEqual(settled.slice(0, 4).sort(), [
    [METHOD.CALL, "OK", 0],
    [METHOD.CALL, "RESOURCE_EXHAUSTED", 0],
    [METHOD.CALL, "UNKNOWN_ROOM", 0],
    [99, "UNIMPLEMENTED", 0],
  ]);
  t.deepEqual(
    settled.slice(4).map(([, code, tookMs]) => [code, tookMs]),
    [
      ["DEADLINE_EXCEEDED", 50],
      ["CANCELLED", 70],
      ["CANCELLED", 170],
    ],
  );
});

test("an oversize request costs only itself", async (t) => {
  const { request } = setup(async (body) => body);
  t.is(await codeOf(request(5001)), "RESOURCE_EXHAUSTED");
  t.is((await request(5000)).length, 5000);
});

test("at its deadline a request ends at both ends, and the handler is told", async (t) => {
  let signal: CallSignal | undefined;
  const { clock, wheel, request, requester, responder, answers } = setup((_body, context) => {
    ({ signal } = context);
    return new Promise((_resolve, reject) =>
      context.signal.addEventListener("abort", () => reject(context.signal.reason)),
    );
  });
  const outcome = codeOf(request());
  await turns();
  clock.advance(1020);
  t.is(await outcome, "DEADLINE_EXCEEDED");
  t.true(signal?.aborted);
  await turns();
  t.is(requester.inFlight, 0);
  t.is(responder.running, 0);
  t.is(wheel.armed, 0);
  t.is(answers().filter(({ kind }) => kind === "fault").length, 1);
});

test("a request without a timeout gets the default one", async (t) => {
  const { clock, far, near, answers } = setup(never);
  near.send(
    encodeFrame([{ kind: "request", id: 9, timeoutMs: 0, depth: 0, method: METHOD.CALL, body: Buffer.alloc(0) }]),
  );
  await turns();
  clock.advance(690);
  await turns();
  t.is(far.sent.length, 0);
  clock.advance(30);
  await turns();
  t.like(answers()[0], { kind: "fault", id: 9, code: "DEADLINE_EXCEEDED" });
});

test("a cancelled request aborts its handler and is not answered", async (t) => {
  const reasons: unknown[] = [];
  const { request, context, responder, answers } = setup((_body, { signal }) => {
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        reasons.push(signal.reason);
        resolve(Buffer.alloc(1));
      });
    });
  });
  const controller = new AbortController();
  const outcome = codeOf(request(1, context(1000, controller.signal)));
  await turns();
  controller.abort();
  t.is(await outcome, "CANCELLED");
  await turns();
  t.is((reasons[0] as Fault).code, "CANCELLED");
  t.is(responder.running, 0);
  t.deepEqual(answers(), []);
});

test("a request that is cancelled in the turn it was made never leaves", async (t) => {
  const { request, context, near } = setup(never);
  const controller = new AbortController();
  const outcome = codeOf(request(1, context(1000, controller.signal)));
  controller.abort();
  t.is(await outcome, "CANCELLED");
  await turns();
  t.is(near.sent.length, 0);
});

test("a signal that is first asked for after the abort is aborted already", async (t) => {
  let context: CallContext | undefined;
  const { clock, request } = setup((_body, given) => {
    context = given;
    return new Promise(() => undefined);
  });
  const outcome = codeOf(request());
  await turns();
  clock.advance(1100);
  await outcome;
  t.true(context?.signal.aborted);
});

test("bounds hold at both ends: what goes beyond is refused at once, and their places are freed", async (t) => {
  const release = Promise.withResolvers<void>();
  const waiting: Handler = async (body) => {
    await release.promise;
    return body;
  };
  const near = setup(waiting);
  const first = Array.from({ length: 16 }, () => codeOf(near.request()));
  t.is(await codeOf(near.request()), "RESOURCE_EXHAUSTED");
  const far = setup(waiting, { requesting: { maxInFlight: 100, maxInFlightBytes: 100_000 } });
  const second = Array.from({ length: 20 }, () => codeOf(far.request()));
  const heavy = setup(waiting, { requesting: { maxInFlightBytes: 100_000 } });
  const third = [4000, 4000, 3000].map((bytes) => codeOf(heavy.request(bytes)));
  await turns();
  release.resolve();
  t.true((await Promise.all(first)).every((code) => code === "OK"));
  t.is((await Promise.all(second)).filter((code) => code === "RESOURCE_EXHAUSTED").length, 4);
  t.deepEqual(await Promise.all(third), ["OK", "OK", "RESOURCE_EXHAUSTED"]);
  t.is(await codeOf(near.request()), "OK");
});

test("a handler that goes on after its caller left keeps its place until it ends", async (t) => {
  const release = Promise.withResolvers<void>();
  const { clock, request, responder } = setup(
    async (body) => {
      await release.promise;
      return body;
    },
    { responding: { maxInFlight: 1 } },
  );
  const outcome = codeOf(request());
  await turns();
  clock.advance(1100);
  t.is(await outcome, "DEADLINE_EXCEEDED");
  t.is(responder.running, 1);
  t.is(await codeOf(request()), "RESOURCE_EXHAUSTED");
  release.resolve();
  await turns();
  t.is(responder.running, 0);
  t.is(await codeOf(request()), "OK");
});

test("a lost stream fails what was sent as INDETERMINATE, what was not as UNAVAILABLE, and aborts the handlers", async (t) => {
  let signal: CallSignal | undefined;
  const { request, near, requester, closed, wheel } = setup((_body, context) => {
    ({ signal } = context);
    return new Promise(() => undefined);
  });
  const sent = codeOf(request());
  await turns();
  const unsent = codeOf(request());
  near.close();
  t.is(await sent, "INDETERMINATE");
  t.is(await unsent, "UNAVAILABLE");
  t.is(await codeOf(request()), "UNAVAILABLE");
  await turns();
  t.true(signal?.aborted);
  t.is(closed.length, 1);
  t.is(requester.inFlight, 0);
  t.is(wheel.armed, 0);
});

test("after GoAway nothing new is sent, what is in flight is answered, then the stream ends", async (t) => {
  const release = Promise.withResolvers<void>();
  const { request, requester, near, closed } = setup(async (body) => {
    await release.promise;
    return body;
  });
  const outcome = codeOf(request());
  await turns();
  requester.retire("an update");
  t.is(await codeOf(request()), "UNAVAILABLE");
  t.false(near.over);
  release.resolve();
  t.is(await outcome, "OK");
  await turns();
  t.true(near.over);
  t.is(near.closedWith, undefined);
  t.is(closed.length, 1);
});

test("an initiator that has sent its last request still gets its answers, and then the end of the stream", async (t) => {
  const release = Promise.withResolvers<void>();
  const { request, responder, far } = setup(async (body) => {
    await release.promise;
    return body;
  });
  const outcome = codeOf(request());
  await turns();
  responder.ended();
  t.false(far.over);
  release.resolve();
  t.is(await outcome, "OK");
  await turns();
  t.true(far.over);
  const idle = setup(never);
  idle.responder.ended();
  t.true(idle.far.over);
});

test("a malformed frame, or an id that is in flight already, ends the stream with INVALID_ARGUMENT", async (t) => {
  const malformed = setup(never);
  const lost = codeOf(malformed.request());
  await turns();
  malformed.near.send(Buffer.from([0x0a, 0xff]));
  await turns();
  t.is((malformed.far.closedWith as Fault).code, "INVALID_ARGUMENT");
  t.is(await lost, "INDETERMINATE");
  const twice = setup(never);
  const request = {
    kind: "request",
    id: 1,
    timeoutMs: 0,
    depth: 0,
    method: METHOD.CALL,
    body: Buffer.alloc(0),
  } as const;
  twice.near.send(encodeFrame([request, request]));
  await turns();
  t.is((twice.far.closedWith as Fault).code, "INVALID_ARGUMENT");
});

test("pings are answered, and kinds that do not belong to a stream's end are ignored", async (t) => {
  const { near, answers, far } = setup(never);
  const strange: Envelope[] = [
    { kind: "response", id: 1, method: METHOD.CALL, result: Buffer.alloc(0) },
    { kind: "cancel", id: 77 },
    { kind: "proof", macs: [] },
    { kind: "ping", nonce: 5, topologyHash: "near's", epoch: 3, nodeName: "" },
  ];
  near.send(encodeFrame(strange));
  far.send(
    encodeFrame([{ kind: "request", id: 1, timeoutMs: 0, depth: 0, method: METHOD.CALL, body: Buffer.alloc(0) }]),
  );
  await turns();
  t.deepEqual(answers().slice(1), [
    { kind: "pong", nonce: 5, topologyHash: "far's", confirmation: Buffer.from([3]), nodeName: "far" },
  ]);
  t.false(near.over);
});

test("a reader that does not read is refused answers first, and then the stream", async (t) => {
  const { near, far } = setup(async () => Buffer.alloc(4000));
  far.hold();
  const flood = (from: number, count: number) => {
    const requests = Array.from({ length: count }, (_, i) => {
      return {
        kind: "request",
        id: from + i,
        timeoutMs: 0,
        depth: 0,
        method: METHOD.CALL,
        body: Buffer.alloc(0),
      } as const;
    });
    near.send(encodeFrame(requests));
    return turns();
  };
  await flood(1, 1);
  await flood(2, 10);
  t.false(far.over);
  for (let batch = 0; batch < 50 && !far.over; batch++) await flood(100 + batch * 10, 10);
  t.is((far.closedWith as Fault | undefined)?.code, "RESOURCE_EXHAUSTED");
});

test("what a function threw is cut to a bounded length before it is sent", async (t) => {
  const threw: Handler = () => Promise.reject(new Fault("FUNCTION_FAILED", "x".repeat(1_000_000)));
  const { request, answers } = setup(threw, { responding: { maxInFlightBytes: 100_000 } });
  const fault = await t.throwsAsync(request(), { instanceOf: Fault });
  t.is(fault?.message, `${"x".repeat(8189)}...`);
  t.deepEqual(
    answers().map((answer) => answer.kind === "fault" && answer.message),
    [fault?.message],
  );
});

test("texts of the far side are cut where they are received: it may be a client, and they go on to others", async (t) => {
  const { requester, request } = setup(never);
  const long = "x".repeat(1_000_000);
  for (const [code, id] of [
    ["METHOD_FAILED", 1],
    ["NOT_YET_KNOWN", 2],
  ] as const) {
    const answer = request();
    requester.receive({ kind: "fault", id, code, message: long });
    const fault = await t.throwsAsync(answer, { instanceOf: Fault });
    t.is(fault?.message.length, 8192);
  }
  requester.receive({ kind: "goAway", reason: long });
  const fault = await t.throwsAsync(request(), { instanceOf: Fault });
  t.true((fault?.message.length ?? 0) < 9000);
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("request" as const),
      behaviour: fc.nat({ max: 4 }),
      bytes: fc.nat({ max: 3000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), at: fc.nat({ max: 20 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom("turn", "hold near", "hold far", "release near", "release far") }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat({ max: 600 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("cut", "retire") }) },
);

test("whatever happens to a stream, every request ends once and nothing stays behind", async (t) => {
  const allowed = [
    "OK",
    "MOVED",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "UNAVAILABLE",
    "INDETERMINATE",
    "RESOURCE_EXHAUSTED",
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const handler: Handler = async (body, { signal }) => {
        if (body[0] === 1) throw new Fault("MOVED", "");
        if (body[0] === 2) await nextTurn();
        if (body[0] === 3)
          await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
        if (body[0] === 4) return Buffer.alloc(5001);
        return body;
      };
      const { clock, wheel, near, far, requester, responder, context, request } = setup(handler);
      const controllers: AbortController[] = [];
      const outcomes: Promise<string>[] = [];
      for (const step of steps) {
        if (step.do === "request") {
          const controller = new AbortController();
          controllers.push(controller);
          const body = Buffer.alloc(step.bytes + 1, step.behaviour);
          outcomes.push(codeOf(request(body, context(1000, controller.signal))));
        } else if (step.do === "wait") clock.advance(step.ms);
        else if (step.do === "cancel" && "at" in step) controllers[step.at]?.abort();
        else if (step.do === "hold near") near.hold();
        else if (step.do === "hold far") far.hold();
        else if (step.do === "release near") near.release();
        else if (step.do === "release far") far.release();
        else if (step.do === "cut") near.close();
        else if (step.do === "retire") requester.retire("the test says so");
        else await nextTurn();
      }
      clock.advance(1100);
      for (const code of await Promise.all(outcomes)) t.true(allowed.includes(code), code);
      near.release();
      far.release();
      await turns(6);
      clock.advance(2000);
      await turns(6);
      t.is(requester.inFlight, 0);
      t.is(responder.running, 0);
      t.is(wheel.armed, 0);
    }),
    { numRuns: 150 },
  );
});
