import { Server, ServerCredentials } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { connect } from "../../../src/client/client.ts";
import { decodeCallRequest, encodeCallResponse } from "../../../src/functions/call-codec.ts";
import { encodeValue } from "../../../src/functions/value.ts";
import { CALL_STREAM_METHOD } from "../../../src/grpc/frame-methods.ts";
import { frameHandler } from "../../../src/grpc/link-service.ts";
import { DEFAULT_STREAM_LIMITS } from "../../../src/mesh/limits.ts";
import { type Handler, METHOD } from "../../../src/mesh/method.ts";
import { Responder } from "../../../src/mesh/responder.ts";
import { StreamRefused } from "../../../src/mesh/stream-refused.ts";
import { eventually } from "../../support/eventually.ts";
import { faultOf } from "../../support/fault-of.ts";

/** The answering end of call streams as a coordinator has it, and a client's stream to it. */
async function start(t: ExecutionContext, handler: Handler, refusal?: Fault) {
  const server = new Server();
  const opened: Responder[] = [];
  const tokens: unknown[] = [];
  const accept = frameHandler((stream, call) => {
    tokens.push(call.metadata.get("authorization")[0]);
    if (refusal) return stream.close(refusal);
    const responder = new Responder({
      stream,
      handlers: new Map([[METHOD.CALL, handler]]),
      wheel: new TimerWheel(),
      limits: DEFAULT_STREAM_LIMITS,
      defaultTimeoutMs: 10_000,
      pong: () => ({ topologyHash: "", confirmation: new Uint8Array(), nodeName: "" }),
      events: { handlerFailed: () => undefined },
    });
    opened.push(responder);
    stream.listen(responder);
  });
  server.addService({ CallStream: CALL_STREAM_METHOD }, { CallStream: accept });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = connect({ address: `127.0.0.1:${port}`, token: "0123456789abcdef" });
  t.teardown(() => {
    client.close();
    server.forceShutdown();
  });
  return { calls: client.stream(), opened, tokens };
}

/** Answers with the first argument; `fail` fails. */
const echo: Handler = async (body) => {
  const { function: name, args } = decodeCallRequest(body);
  if (name === "lib.fail") throw new Fault("FUNCTION_FAILED", "it threw");
  return encodeCallResponse(encodeValue(args[0] ?? null));
};

test("thousands of calls at once share one stream, and each gets its own answer", async (t) => {
  const { calls, opened, tokens } = await start(t, echo);
  const numbers = Array.from({ length: 3000 }, (_, index) => String(index));
  t.deepEqual(await Promise.all(numbers.map((number) => calls.call("lib.echo", { args: [number] }))), numbers);
  t.is(opened.length, 1);
  t.deepEqual(tokens, ["Bearer 0123456789abcdef"]);
  await calls.close();
});

test("a call that fails ends with its own fault and leaves the others alone", async (t) => {
  const { calls } = await start(t, echo);
  const [failed, fine] = await Promise.allSettled([calls.call("lib.fail"), calls.call("lib.echo", { args: ["x"] })]);
  t.like(failed, { status: "rejected", reason: { code: "FUNCTION_FAILED", message: "it threw" } });
  t.like(fine, { status: "fulfilled", value: "x" });
  await calls.close();
});

test("a deadline and a signal end a call on both sides", async (t) => {
  let arrived = 0;
  let aborted = 0;
  const { calls } = await start(t, (_body, { signal }) => {
    const { promise, reject } = Promise.withResolvers<Uint8Array>();
    arrived++;
    signal.addEventListener("abort", () => {
      aborted++;
      reject(signal.reason);
    });
    return promise;
  });
  const abort = new AbortController();
  const cancelled = t.throwsAsync(calls.call("lib.wait", { signal: abort.signal }), { instanceOf: Fault });
  await eventually(() => arrived === 1, { what: "the first call at the server" });
  const late = await t.throwsAsync(calls.call("lib.wait", { timeoutMs: 2000 }), { instanceOf: Fault });
  t.is(late.code, "DEADLINE_EXCEEDED");
  abort.abort();
  t.is((await cancelled).code, "CANCELLED");
  await eventually(() => aborted === 2, { what: "both runs aborted on the server" });
  await calls.close();
});

test("after a lost stream the next call opens another", async (t) => {
  const arrived = Promise.withResolvers<void>();
  const { calls, opened } = await start(t, (body, context) => {
    if (decodeCallRequest(body).function !== "lib.hang") return echo(body, context);
    arrived.resolve();
    return new Promise(() => undefined);
  });
  const hanging = t.throwsAsync(calls.call("lib.hang"), { instanceOf: Fault });
  await arrived.promise;
  opened[0]?.close(new Fault("UNAVAILABLE", "the coordinator stops"));
  t.is((await hanging).code, "INDETERMINATE");
  t.is(await calls.call("lib.echo", { args: ["again"] }), "again");
  t.is(opened.length, 2);
  await calls.close();
});

test("a stream that is not taken ends its calls with the reason, as they have not begun, and one that is never reached too", async (t) => {
  for (const code of ["UNAVAILABLE", "RESOURCE_EXHAUSTED"] as const) {
    const { calls } = await start(t, echo, new StreamRefused(code, "not now"));
    const faults = await Promise.all(["a", "b"].map((text) => faultOf(calls.call("lib.echo", { args: [text] }))));
    for (const fault of faults) t.like(fault, { code, message: "not now" });
    await calls.close();
  }
  const client = connect({ address: "127.0.0.1:1", token: "0123456789abcdef" });
  t.teardown(() => client.close());
  await using nowhere = client.stream();
  const fault = await faultOf(nowhere.call("lib.echo"));
  t.is(fault.code, "UNAVAILABLE");
  t.regex(fault.message, /cannot be reached: connect ECONNREFUSED/);
});

test("close waits for the calls in flight and refuses new ones", async (t) => {
  const gate = Promise.withResolvers<void>();
  const { calls } = await start(t, async (body, context) => {
    await gate.promise;
    return echo(body, context);
  });
  const call = calls.call("lib.echo", { args: ["late"] });
  const closing = calls.close();
  t.is((await t.throwsAsync(calls.call("lib.echo"), { instanceOf: Fault })).code, "CANCELLED");
  gate.resolve();
  t.is(await call, "late");
  await closing;
  await calls.close();
});
