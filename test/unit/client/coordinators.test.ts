import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import { connect } from "../../../src/client/client.ts";
import { claimPortBlock } from "../../../src/dev/free-ports.ts";
import { encodeCallResponse } from "../../../src/functions/call-codec.ts";
import { encodeValue } from "../../../src/functions/value.ts";
import { statusOf } from "../../../src/grpc/status.ts";
import { subscribeResponse } from "../../../src/pubsub/pubsub-codec.ts";
import { eventually } from "../../support/eventually.ts";
import { faultOf } from "../../support/fault-of.ts";
import { AnsweringServer } from "./answering-server.ts";

type SubscribeCall = ServerWritableStream<Uint8Array, Uint8Array>;

const NOBODY = "127.0.0.1:1";
const NONE = { subscribed: undefined, message: undefined, missed: undefined };

/** A coordinator that answers each call with its name, or fails with what it is told to. `onPort`: 0 is any that is free. */
async function coordinator(t: ExecutionContext, name: string, onPort = 0) {
  const state = {
    calls: 0,
    fault: undefined as Fault | undefined,
    subscribers: new Set<SubscribeCall>(),
    /** Subscriptions that it refuses before it takes one. */
    refusals: 0,
  };
  const { server, address } = await AnsweringServer.start(
    {
      Call: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
        state.calls++;
        if (state.fault) done(statusOf(state.fault));
        else done(null, encodeCallResponse(encodeValue(name)));
      },
      Subscribe: (call: SubscribeCall) => {
        if (state.refusals > 0) {
          state.refusals--;
          call.emit("error", statusOf(new Fault("UNAVAILABLE", "the coordinator is shutting down")));
          return;
        }
        state.subscribers.add(call);
        call.write(subscribeResponse.encode({ ...NONE, subscribed: new Uint8Array() }));
      },
    },
    onPort,
  );
  t.teardown(() => server.stop());
  return { server, address, state };
}

function clientOf(t: ExecutionContext, address: string, ...alternatives: readonly string[]) {
  const client = connect({ address, alternatives, token: "0123456789abcdef", timeoutMs: 10_000 });
  t.teardown(() => client.close());
  return client;
}

test("what cannot be reached, or has begun nothing, is asked for elsewhere, once at each", async (t) => {
  const [a, b] = [await coordinator(t, "a"), await coordinator(t, "b")];
  const client = clientOf(t, NOBODY, a.address, b.address);
  t.is(await client.call("lib.fn"), "a");
  a.state.fault = new Fault("UNAVAILABLE", "the coordinator is shutting down");
  t.is(await client.call("lib.fn"), "b");
  b.state.fault = a.state.fault;
  a.state.calls = 0;
  b.state.calls = 0;
  t.is((await faultOf(client.call("lib.fn"))).code, "UNAVAILABLE");
  t.deepEqual([a.state.calls, b.state.calls], [1, 1]);
});

test("what may have run is made again only where it has no effect, and what failed is not", async (t) => {
  const [a, b] = [await coordinator(t, "a"), await coordinator(t, "b")];
  const client = clientOf(t, a.address, b.address);
  const fails = async (code: FaultCode, onlyReads: boolean) => {
    a.state.fault = new Fault(code, "no");
    const outcome = await client.call("lib.fn", { onlyReads }).catch((fault: Fault) => fault.code);
    return outcome === code;
  };
  t.true(await fails("INDETERMINATE", false));
  t.false(await fails("INDETERMINATE", true));
  for (const code of ["FUNCTION_FAILED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"] as const) {
    t.true(await fails(code, true), code);
  }
  t.is(b.state.calls, 1);
});

test("a client whose first coordinator has stopped returns to it once that serves again", async (t) => {
  // Claimed, so that nobody else has it while no coordinator listens there.
  await using ports = await claimPortBlock(1);
  const [a, b] = [await coordinator(t, "a", ports.basePort), await coordinator(t, "b")];
  const client = clientOf(t, a.address, b.address);
  t.is(await client.call("lib.fn"), "a");
  a.server.stop();
  t.is(await client.call("lib.fn"), "b");
  const again = await AnsweringServer.start(
    {
      Call: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) =>
        done(null, encodeCallResponse(encodeValue("a again"))),
    },
    ports.basePort,
  );
  t.teardown(() => again.server.stop());
  // It is there, and says that it does not serve.
  t.is(await client.call("lib.fn"), "b");
  again.server.health.set(true);
  await eventually(async () => (await client.call("lib.fn")) === "a again", { what: "the first coordinator" });
});

test("a subscription goes on at another coordinator, and says from where on", async (t) => {
  const [a, b] = [await coordinator(t, "a"), await coordinator(t, "b")];
  const client = clientOf(t, a.address, b.address);
  const kinds: string[] = [];
  for await (const { kind } of client.subscribe(["x"])) {
    kinds.push(kind);
    if (kinds.length === 2) break;
    const [call] = a.state.subscribers;
    call?.emit("error", statusOf(new Fault("UNAVAILABLE", "the coordinator is shutting down")));
  }
  t.deepEqual(kinds, ["subscribed", "subscribed"]);
  t.is(b.state.subscribers.size, 1);
});

test("a subscription that stood goes on once a coordinator is there again, however often all of them refuse it", async (t) => {
  const [a, b] = [await coordinator(t, "a"), await coordinator(t, "b")];
  const client = clientOf(t, a.address, b.address);
  const events = client.subscribe(["x"]);
  t.like((await events.next()).value, { kind: "subscribed" });
  const next = events.next();
  b.state.refusals = 2;
  a.server.stop();
  t.like((await next).value, { kind: "subscribed" });
  t.is(b.state.refusals, 0);
  await events.return();
});

test("a subscription that was given up asks nobody any more", async (t) => {
  const [a, b] = [await coordinator(t, "a"), await coordinator(t, "b")];
  const client = clientOf(t, a.address, b.address);
  const abort = new AbortController();
  const events = client.subscribe(["x"], { signal: abort.signal });
  await events.next();
  const next = events.next();
  b.state.refusals = 1000;
  a.server.stop();
  await eventually(() => b.state.refusals < 1000, { what: "a refusal" });
  abort.abort();
  t.true((await next).done);
});

test("a subscription that is refused everywhere fails", async (t) => {
  const client = clientOf(t, NOBODY, NOBODY);
  t.is((await faultOf(client.subscribe(["x"]).next())).code, "UNAVAILABLE");
});

test("a timeout that is no time is refused before anybody is asked", async (t) => {
  const a = await coordinator(t, "a");
  const client = clientOf(t, a.address, NOBODY);
  for (const timeoutMs of [-1, Number.NaN]) {
    t.is((await faultOf(client.call("lib.fn", { timeoutMs }))).code, "INVALID_ARGUMENT");
  }
  t.is(a.state.calls, 0);
});
