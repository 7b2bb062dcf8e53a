import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { publishRequest } from "../../src/pubsub/pubsub-codec.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { Listener } from "../support/listener.ts";
import { metricOf } from "../support/metrics-of.ts";
import { grpcMessage, rawCall } from "../support/raw-rpc.ts";

const NAMES = ["gearmesh-1", "gearmesh-2", "gearmesh-3"];
const PUBLISH = "/gearmesh.v1.PubSubService/Publish";

let cluster: Cluster;
let clients: readonly [GearmeshClient, GearmeshClient, GearmeshClient];
let nodes: readonly [ClusterNode, ClusterNode, ClusterNode];

test.before(async () => {
  // A link to a node that hangs is lost only after the time that a publisher gives it.
  cluster = await startPatientCluster({ shards: 3, env: { GEARMESH_HEARTBEAT_MS: "5000", GEARMESH_LEASE_MS: "0" } });
  const [first, second, third] = cluster.nodes;
  if (!first || !second || !third) throw new Error("three nodes were started");
  nodes = [first, second, third];
  clients = [clientOf(first), clientOf(second), clientOf(third)];
});

test.after.always(async () => {
  for (const client of clients ?? []) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

function clientOf({ coordinator }: ClusterNode, token = cluster.token): GearmeshClient {
  return connect({ address: coordinator.address, token });
}

/** A series of each coordinator, in the order of `nodes`. */
function metricsOf(series: string): Promise<number[]> {
  return Promise.all(nodes.map(({ coordinator }) => metricOf(coordinator, series)));
}

test.serial(
  "the seed's generic publish and subscribe: every node gets it, the sender's included, with the sender's name",
  async (t) => {
    const listeners = await Promise.all(clients.map((client) => Listener.open(client, "myMessageType")));
    for (const client of clients) {
      t.deepEqual(await client.publish("myMessageType", { message: "hello!" }), { nodes: 3, subscribers: 3 });
    }
    const senders = await Promise.all(clients.map(async (client) => (await client.topology()).nodeName));
    t.deepEqual([...senders].sort(), NAMES);
    for (const listener of listeners) {
      t.deepEqual(
        await listener.count(3),
        senders.map((serverId) => ({
          kind: "message",
          messageType: "myMessageType",
          serverId,
          payload: { message: "hello!" },
        })),
      );
      await listener[Symbol.asyncDispose]();
    }
  },
);

test.serial("only nodes with a subscriber of the type receive it", async (t) => {
  await using one = await Listener.open(clients[1], "for-one");
  await using other = await Listener.open(clients[2], "for-another");
  const before = await metricsOf("gearmesh_pubsub_received_total");
  for (const n of [1, 2, 3]) t.deepEqual(await clients[0].publish("for-one", n), { nodes: 1, subscribers: 1 });
  t.deepEqual(await clients[0].publish("for-nobody", null), { nodes: 0, subscribers: 0 });
  const after = await metricsOf("gearmesh_pubsub_received_total");
  t.deepEqual(
    after.map((count, index) => count - (before[index] ?? 0)),
    [0, 3, 0],
  );
  t.is((await one.count(3)).length, 3);
  t.is(other.messages.length, 0);
});

test.serial("once a subscription stands, what is published anywhere arrives", async (t) => {
  for (let round = 0; round < 20; round++) {
    await using listener = await Listener.open(clients[0], `round-${round}`);
    for (const client of clients) t.is((await client.publish(`round-${round}`, round)).subscribers, 1);
    await listener.count(3);
  }
});

test.serial("bytes arrive as bytes, and JSON as what it says", async (t) => {
  await using listener = await Listener.open(clients[2], "payloads");
  const payloads = [Buffer.from([0, 0xff]), "text", 1.5, null, [{ deep: ["ä"] }]];
  for (const payload of payloads) await clients[0].publish("payloads", payload);
  t.deepEqual(
    (await listener.count(payloads.length)).map(({ payload }) => payload),
    payloads as never,
  );
});

test.serial("a library publishes to subscribers on every node, in the order of its lines", async (t) => {
  const listeners = await Promise.all(clients.map((client) => Listener.open(client, "from-library")));
  await clients[0].load(`#!js name=publishing
redis.register_async_function("run", async (client, count) => {
  const sent = [];
  for (let i = 0; i < Number(count); i++) sent.push(client.publish("from-library", { i }));
  return (await Promise.all(sent)).join();
});
redis.register_async_function("refused", async (client) => client.publish("", null).catch((error) => String(error)));
`);
  t.is(await clients[1].call("publishing.run", { args: ["5"] }), "3,3,3,3,3");
  for (const listener of listeners) {
    const messages = await listener.count(5);
    t.deepEqual(
      messages.map(({ payload }) => payload),
      [0, 1, 2, 3, 4].map((i) => ({ i })),
    );
    t.is(messages[0]?.serverId, (await clients[1].topology()).nodeName);
    await listener[Symbol.asyncDispose]();
  }
  t.regex(String(await clients[0].call("publishing.refused")), /a message type has 1 to 256 bytes/);
});

test.serial(
  "what one publisher sends arrives in its order on every node, on one stream and one call after the other",
  async (t) => {
    const MESSAGES = 900;
    const listeners = await Promise.all(clients.map((client) => Listener.open(client, "ordered")));
    await using stream = clients[1].stream();
    const sent = Array.from({ length: MESSAGES }, (_, number) => stream.publish("ordered", number));
    for (const reach of await Promise.all(sent)) t.deepEqual(reach, { nodes: 3, subscribers: 3 });
    for (let number = 0; number < 20; number++) await clients[0].publish("ordered", number);
    for (const listener of listeners) {
      const payloads = (await listener.count(MESSAGES + 20)).map(({ payload }) => payload);
      t.deepEqual(payloads, [...Array(MESSAGES).keys(), ...Array(20).keys()]);
      t.is(listener.events.length, MESSAGES + 21, "nothing was missed");
      await listener[Symbol.asyncDispose]();
    }
  },
);

test.serial(
  "a slow subscriber is told how much it missed, in its place; others get everything, and memory stays bounded",
  async (t) => {
    const MESSAGES = 700;
    const text = "x".repeat(16 * 1024);
    const slowClient = clientOf(nodes[1]);
    t.teardown(() => slowClient.close());
    const slow = slowClient.subscribe(["heavy"]);
    t.deepEqual((await slow.next()).value, { kind: "subscribed" });
    await using beside = await Listener.open(clients[1], "heavy");
    await using elsewhere = await Listener.open(clients[2], "heavy");
    const missedBefore = await metricOf(nodes[1].coordinator, "gearmesh_pubsub_missed_total");
    const reached: number[] = [];
    for (let number = 0; number < MESSAGES; number++) {
      reached.push((await clients[0].publish("heavy", { number, text })).subscribers);
    }
    t.is(reached[0], 3);
    t.is(reached.at(-1), 2);
    for (const listener of [beside, elsewhere]) {
      await listener.count(MESSAGES);
      t.is(listener.events.length, MESSAGES + 1);
    }
    const missed = (await metricOf(nodes[1].coordinator, "gearmesh_pubsub_missed_total")) - missedBefore;
    t.true(missed > 0);
    let next = 0;
    let told = 0;
    while (next < MESSAGES) {
      const { value } = await slow.next();
      if (value?.kind === "message") t.is((value.payload as { number: number }).number, next++);
      else if (value?.kind === "missed") {
        next += value.count;
        told += value.count;
      }
    }
    t.is(next, MESSAGES);
    t.is(told, missed);
    await clients[0].publish("heavy", "it goes on");
    t.like((await slow.next()).value, { kind: "message", payload: "it goes on" });
    await slow.return();
  },
);

test.serial("without the token nothing can be published or heard", async (t) => {
  await using listener = await Listener.open(clients[1], "secret");
  await using stranger = clientOf(nodes[0], "not-the-token-of-this-cluster");
  t.is((await faultOf(stranger.publish("secret", 1))).code, "UNAUTHENTICATED");
  await t.throwsAsync(stranger.stream().publish("secret", 1), { instanceOf: Fault });
  t.is((await faultOf(Listener.open(stranger, "secret"))).code, "UNAUTHENTICATED");
  await clients[0].publish("secret", "only this");
  t.deepEqual(
    (await listener.count(1)).map(({ payload }) => payload),
    ["only this"],
  );
});

test.serial("bad input ends in its code, and others are unharmed", async (t) => {
  await using listener = await Listener.open(clients[0], "fine");
  const [client] = clients;
  t.is((await faultOf(client.publish("", 1))).code, "INVALID_ARGUMENT");
  t.is((await faultOf(client.publish("x".repeat(257), 1))).code, "INVALID_ARGUMENT");
  t.is((await faultOf(client.publish("x", Buffer.alloc(16 * 1024 * 1024)))).code, "RESOURCE_EXHAUSTED");
  t.is((await faultOf(Listener.open(client))).code, "INVALID_ARGUMENT");
  t.is((await faultOf(Listener.open(client, "ok", ""))).code, "INVALID_ARGUMENT");
  t.is(
    (await faultOf(Listener.open(client, ...Array.from({ length: 1025 }, (_, n) => `${n}`)))).code,
    "INVALID_ARGUMENT",
  );
  const { address } = nodes[0].coordinator;
  const { token } = cluster;
  const notJson = publishRequest.encode({ messageType: "x", payload: Buffer.from([0x12, 0x01, 0x7b]) });
  const neither = publishRequest.encode({ messageType: "x", payload: Buffer.alloc(0) });
  for (const body of [notJson, neither, Buffer.from([0x0a, 0x7f])]) {
    t.is((await rawCall(address, PUBLISH, grpcMessage(body), { token })).code, "INVALID_ARGUMENT");
  }
  t.is((await client.publish("fine", 1)).subscribers, 1);
  t.is((await listener.count(1)).length, 1);
});

test.serial("a node that hangs fails no publish and is not counted; the answer comes in time", async (t) => {
  const listeners = await Promise.all(clients.map((client) => Listener.open(client, "hang")));
  const hanging = nodes[2].coordinator;
  hanging.pause();
  const startedAt = performance.now();
  const reach = await clients[0].publish("hang", 1, { timeoutMs: 4000 }).finally(() => hanging.resume());
  t.true(performance.now() - startedAt < 4000);
  t.deepEqual(reach, { nodes: 2, subscribers: 2 });
  t.deepEqual(await clients[0].publish("hang", 2), { nodes: 3, subscribers: 3 });
  for (const listener of listeners) {
    await eventually(() => listener.messages.at(-1)?.payload === 2, { what: "the message after the hang" });
    await listener[Symbol.asyncDispose]();
  }
});

test.serial(
  "interest survives a killed and restarted coordinator, and what its subscribers wanted is forgotten",
  async (t) => {
    await using here = await Listener.open(clients[0], "lasting");
    const there = await Listener.open(clients[2], "gone");
    t.is((await clients[0].publish("gone", 1)).nodes, 1);
    await nodes[2].coordinator.kill("SIGKILL");
    await there.ended;
    t.true(there.fault instanceof Fault);
    await eventually(async () => (await metricOf(nodes[0].coordinator, "gearmesh_pubsub_peer_types")) === 0, {
      what: "the dead node's interest forgotten",
    });
    t.deepEqual(await clients[0].publish("gone", 2), { nodes: 0, subscribers: 0 });
    await nodes[2].coordinator.start();
    await eventually(async () => (await clients[2].publish("lasting", "from the restarted one")).nodes === 1, {
      what: "the restarted node to know of the subscriber",
    });
    t.like((await here.count(1))[0], { payload: "from the restarted one" });
    await eventually(async () => (await metricsOf('gearmesh_links{state="open"}')).join() === "2,2,2", {
      what: "every link, also to the restarted node",
    });
    await using again = await Listener.open(clients[2], "gone");
    t.deepEqual(await clients[1].publish("gone", 3), { nodes: 1, subscribers: 1 });
    t.like((await again.count(1))[0], { payload: 3 });
  },
);

test.serial("a coordinator that shuts down ends its subscriptions at once, so that clients go elsewhere", async (t) => {
  const listener = await Listener.open(clients[2], "leaving");
  const startedAt = performance.now();
  const stopped = nodes[2].coordinator.stop();
  await listener.ended;
  t.is((listener.fault as Fault).code, "UNAVAILABLE");
  await stopped;
  t.true(performance.now() - startedAt < 9500, "nothing waited for the drain time, 10 s");
  await nodes[2].coordinator.start();
  t.pass();
});

test.serial("subscribers that go away are forgotten everywhere", async (t) => {
  await using vanishing = clientOf(nodes[1]);
  const listener = await Listener.open(vanishing, "a", "b", "c");
  await eventually(async () => (await metricsOf("gearmesh_pubsub_peer_types")).join() === "3,0,3", {
    what: "their types known on the other nodes",
  });
  t.deepEqual(await metricsOf("gearmesh_pubsub_subscriptions"), [0, 1, 0]);
  t.deepEqual(await metricsOf("gearmesh_pubsub_types"), [0, 3, 0]);
  await listener[Symbol.asyncDispose]();
  for (const gauge of ["pubsub_subscriptions", "pubsub_types", "pubsub_peer_types", "link_in_flight"]) {
    await eventually(async () => (await metricsOf(`gearmesh_${gauge}`)).join() === "0,0,0", {
      what: `gearmesh_${gauge} back at zero`,
    });
  }
  t.deepEqual(await clients[0].publish("a", 1), { nodes: 0, subscribers: 0 });
});
