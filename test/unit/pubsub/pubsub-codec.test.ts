import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import type { MessageCodec } from "../../../src/base/message.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import {
  deliverPublishedRequest,
  deliverPublishedResponse,
  publishedMessage,
  publishRequest,
  publishResponse,
  subscribeRequest,
  subscribeResponse,
  syncInterestRequest,
} from "../../../src/pubsub/pubsub-codec.ts";

const proto = new protobuf.Root();
proto.resolvePath = (_origin, target) => new URL(`../../../proto/${target}`, import.meta.url).pathname;
proto.loadSync("gearmesh/v1/peer.proto");

const text = fc.string({ unit: "grapheme", maxLength: 50 });
const count = fc.nat();
const payload = fc
  .oneof(
    text,
    fc.uint8Array().map((each) => Buffer.from(each)),
  )
  .map((each) => encodePayload(each));
const published = fc
  .record({ messageType: text, serverId: text, payload })
  .map((each) => Buffer.from(publishedMessage.encode(each)));
const nothing = Buffer.alloc(0);

/** What is written here, another implementation of the .proto reads and writes, and that is the same here again. */
function roundTrips<T>(t: ExecutionContext, name: string, codec: MessageCodec<T>, given: fc.Arbitrary<T>): void {
  const foreign = proto.lookupType(`gearmesh.v1.${name}`);
  fc.assert(
    fc.property(given, (message) => {
      const again = foreign.encode(foreign.decode(codec.encode(message))).finish();
      t.deepEqual(codec.decode(again), message);
    }),
  );
}

test("every message reads the same here and by the .proto", (t) => {
  roundTrips(t, "PublishRequest", publishRequest, fc.record({ messageType: text, payload }));
  roundTrips(t, "PublishResponse", publishResponse, fc.record({ nodes: count, subscribers: count }));
  roundTrips(t, "SubscribeRequest", subscribeRequest, fc.record({ messageTypes: fc.array(text) }));
  roundTrips(t, "PublishedMessage", publishedMessage, fc.record({ messageType: text, serverId: text, payload }));
  const event = { subscribed: undefined, message: undefined, missed: undefined };
  const missed = fc.record({ count, unknown: fc.boolean() });
  roundTrips(
    t,
    "SubscribeResponse",
    subscribeResponse,
    fc.oneof(
      fc.constant({ ...event, subscribed: nothing }),
      published.map((message) => ({ ...event, message })),
      missed.map((each) => ({ ...event, missed: each })),
    ),
  );
  const delivery = fc.record({ message: published, runId: text, sequence: count });
  roundTrips(t, "DeliverPublishedRequest", deliverPublishedRequest, delivery);
  roundTrips(t, "DeliverPublishedResponse", deliverPublishedResponse, fc.record({ subscribers: count }));
  const types = fc.array(text);
  const change = {
    complete: fc.boolean(),
    added: types,
    removed: types,
    runId: text,
    sequence: count,
    more: fc.boolean(),
  };
  roundTrips(t, "SyncInterestRequest", syncInterestRequest, fc.record(change));
});
