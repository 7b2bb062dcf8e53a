import type { ServerUnaryCall, ServerWritableStream, sendUnaryData, UntypedServiceImplementation } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { WireWriter } from "../../../src/base/wire.ts";
import { connect } from "../../../src/client/client.ts";
import type { SubscriptionEvent } from "../../../src/client/pubsub.ts";
import { statusOf } from "../../../src/grpc/status.ts";
import {
  publishedMessage,
  publishRequest,
  publishResponse,
  subscribeRequest,
  subscribeResponse,
} from "../../../src/pubsub/pubsub-codec.ts";
import { eventually } from "../../support/eventually.ts";
import { faultOf } from "../../support/fault-of.ts";
import { AnsweringServer } from "./answering-server.ts";

type SubscribeCall = ServerWritableStream<Uint8Array, Uint8Array>;

async function start(t: ExecutionContext, methods: UntypedServiceImplementation) {
  const { server, address } = await AnsweringServer.start(methods);
  const client = connect({ address, token: "0123456789abcdef" });
  t.teardown(() => {
    client.close();
    server.stop();
  });
  return client;
}

const NONE = { subscribed: undefined, message: undefined, missed: undefined };
const SUBSCRIBED = subscribeResponse.encode({ ...NONE, subscribed: new Uint8Array() });

function messageEvent(payload: unknown): Uint8Array {
  const message = publishedMessage.encode({ messageType: "x", serverId: "gearmesh-2", payload: payloadOf(payload) });
  return subscribeResponse.encode({ ...NONE, message });
}

test("what is published arrives as it was given, and the answer says how far it went", async (t) => {
  const seen: unknown[] = [];
  const client = await start(t, {
    Publish: ({ request }: ServerUnaryCall<Uint8Array, Uint8Array>, done: sendUnaryData<Uint8Array>) => {
      seen.push(publishRequest.decode(request));
      done(null, publishResponse.encode({ nodes: 2, subscribers: 5 }));
    },
  });
  t.deepEqual(await client.publish("x", { a: [1, null] }), { nodes: 2, subscribers: 5 });
  await client.publish("y", Buffer.from([0xff]));
  t.deepEqual(seen, [
    { messageType: "x", payload: payloadOf({ a: [1, null] }) },
    { messageType: "y", payload: payloadOf(Buffer.from([0xff])) },
  ]);
});

test("a subscription tells its events in order, skips those of a newer release, and ends with the loop", async (t) => {
  const cancelled = Promise.withResolvers<void>();
  const client = await start(t, {
    Subscribe: (call: SubscribeCall) => {
      call.once("cancelled", () => cancelled.resolve());
      t.deepEqual(subscribeRequest.decode(call.request), { messageTypes: ["x", "y"] });
      call.write(SUBSCRIBED);
      call.write(messageEvent({ n: 1 }));
      call.write(new WireWriter().string(99, "later").finish());
      call.write(subscribeResponse.encode({ ...NONE, missed: { count: 7, unknown: false } }));
      call.write(messageEvent(Buffer.from([0xff])));
    },
  });
  const events: SubscriptionEvent[] = [];
  for await (const event of client.subscribe(["x", "y"])) if (events.push(event) === 4) break;
  const message = { kind: "message", messageType: "x", serverId: "gearmesh-2" } as const;
  t.deepEqual(events, [
    { kind: "subscribed" },
    { ...message, payload: { n: 1 } },
    { kind: "missed", count: 7 },
    { ...message, payload: Buffer.from([0xff]) },
  ]);
  await cancelled.promise;
});

test("a subscription ends quietly when its signal aborts, and with the coordinator's fault when that ends it", async (t) => {
  let cancelled = 0;
  const client = await start(t, {
    Subscribe: (call: SubscribeCall) => {
      call.once("cancelled", () => cancelled++);
      call.write(SUBSCRIBED);
      const { messageTypes } = subscribeRequest.decode(call.request);
      if (messageTypes[0] === "refused") call.emit("error", statusOf(new Fault("UNAVAILABLE", "shutting down")));
      if (messageTypes[0] === "malformed") call.write(Buffer.from([0x12, 0x7f]));
    },
  });
  const read = async (type: string, abort = new AbortController()) => {
    const kinds: string[] = [];
    for await (const { kind } of client.subscribe([type], { signal: abort.signal })) {
      kinds.push(kind);
      if (type === "aborted") abort.abort();
    }
    return kinds;
  };
  t.deepEqual(await read("aborted"), ["subscribed"]);
  await eventually(() => cancelled === 1, { what: "the stream cancelled on the server" });
  t.is((await faultOf(read("refused"))).code, "UNAVAILABLE");
  t.is((await faultOf(read("malformed"))).code, "INTERNAL");
});
