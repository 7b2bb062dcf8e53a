import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { keyOn } from "../support/keys.ts";
import { Listener } from "../support/listener.ts";

const MESSAGES = 100;

const LIBRARY = `#!js name=news
redis.register_remote_function("far", async (client, message) => client.publish("far", message));
redis.register_async_function("publish", async (client, type, message) => client.publish(type, { message }));
redis.register_async_function("far", async (client, key, message) => client.run_on_key(key, "far", message));
redis.register_async_function("many", async (client) => {
  const all = [];
  for (let i = 0; i < ${MESSAGES}; i++) all.push(client.publish("many", i));
  return Promise.all(all);
});
redis.register_rpc_method("announce", async (client, ...args) => client.publish("announced", args));
`;

test("what a library publishes reaches the subscribers on every node, under the name of the node that it ran on", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [node, other] = cluster.nodes;
  if (!node || !other) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await using elsewhere = connect({ address: other.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  const names = await Promise.all([client, elsewhere].map(async (each) => (await each.topology()).nodeName));
  const [here, there] = names;

  t.is(await client.call("news.publish", { args: ["nobody", "hears"] }), 0n);
  for (const subscriber of [client, elsewhere]) {
    await using direct = await Listener.open(subscriber, "direct");
    t.is(await client.call("news.publish", { args: ["direct", "é"] }), 1n);
    t.like((await direct.count(1))[0], { messageType: "direct", serverId: here, payload: { message: "é" } });

    await using far = await Listener.open(subscriber, "far");
    t.is(await client.call("news.far", { args: [keyOn(cluster, other), "message"] }), 1n);
    t.like((await far.count(1))[0], { serverId: there, payload: "message" });

    await using announced = await Listener.open(subscriber, "announced");
    const replies = await client.rpc("announce", { args: [1, "two"] });
    for (const reply of replies) t.like(reply, { value: 1 });
    const messages = await announced.count(2);
    t.deepEqual(messages.map(({ serverId }) => serverId).sort(), [...names].sort());

    await using many = await Listener.open(subscriber, "many");
    t.deepEqual(
      await client.call("news.many"),
      Array.from({ length: MESSAGES }, () => 1n),
    );
    const order = (await many.count(MESSAGES)).map(({ payload }) => payload);
    t.deepEqual(
      order,
      Array.from({ length: MESSAGES }, (_, index) => index),
    );
  }
  const fault = await t.throwsAsync(client.call("news.publish", { args: ["", "message"] }), { instanceOf: Fault });
  t.is(fault?.code, "FUNCTION_FAILED");
  t.regex(fault?.message ?? "", /message type/);
});
