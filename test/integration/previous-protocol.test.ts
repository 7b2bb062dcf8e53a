import { readFile } from "node:fs/promises";
import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION } from "../../src/mesh/protocol-version.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { keyOn } from "../support/keys.ts";
import { Listener } from "../support/listener.ts";
import { type PreviousCoordinator, unpackPreviousCoordinator } from "../support/previous-coordinator.ts";

/** Two coordinators of this version, and one of the version before. */
const PREVIOUS = 2;

const LIBRARY = `#!js name=mixed
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_remote_function("count", async (client) => Number(client.block((c) => c.call("dbsize"))));
redis.register_async_function("write", async (client, key) => client.block((c) => c.call("set", key, "at:" + key)));
redis.register_async_function("far", async (client, key) => client.run_on_key(key, "read", key));
redis.register_async_function("everywhere", async (client) => {
  const [counts, errors] = await client.run_on_all_shards("count");
  return [counts.length, ...errors].join();
});
redis.register_rpc_method("mixed.add", async (client, a, b) => a + b);
`;

let previous: PreviousCoordinator;
let cluster: Cluster;
let clients: readonly [GearmeshClient, GearmeshClient, GearmeshClient];

test.before(async () => {
  previous = await unpackPreviousCoordinator();
  cluster = await startPatientCluster({
    shards: 3,
    coordinatorEntryOf: (index) => (index === PREVIOUS ? previous.entry : undefined),
  });
  clients = cluster.nodes.map(({ coordinator }) =>
    connect({ address: coordinator.address, token: cluster.token }),
  ) as unknown as typeof clients;
});

test.after.always(async () => {
  for (const client of clients ?? []) client.close();
  await cluster?.[Symbol.asyncDispose]();
  await previous?.[Symbol.asyncDispose]();
});

/** Versions of the links that this coordinator has opened and that were opened to it, in the order of their peers. */
async function linkVersions({ coordinator }: ClusterNode): Promise<readonly string[]> {
  const lines = (await readFile(coordinator.logPath, "utf8")).split("\n").filter((line) => line.startsWith("{"));
  const links = lines
    .map((line) => JSON.parse(line) as { msg: string; nodeId: string; version?: number })
    .filter(({ msg }) => msg === "linked to a peer" || msg === "a peer linked to this shard");
  const nodeIds = [...new Set(links.map(({ nodeId }) => nodeId))];
  return nodeIds.map((nodeId) =>
    [...new Set(links.filter((each) => each.nodeId === nodeId).map(({ version }) => version))].join(),
  );
}

test.serial(
  "each link speaks the version of the older end, and those of the older one do not know of any other",
  async (t) => {
    const [one, two, old] = cluster.nodes;
    if (!one || !two || !old) return t.fail();
    for (const node of [one, two]) {
      await eventually(async () => (await linkVersions(node)).length === 2, { what: "links to two peers" });
      t.deepEqual([...(await linkVersions(node))].sort(), [`${OLDEST_PROTOCOL_VERSION}`, `${PROTOCOL_VERSION}`]);
    }
    const [first, second] = await linkVersions(old);
    t.deepEqual([first, second], ["", ""], "it is of the time before versions were logged");
  },
);

test.serial("a library that is loaded by either is served by both", async (t) => {
  for (const [revision, client] of [clients[PREVIOUS], clients[0]].entries()) {
    t.like(await client.load(LIBRARY, { replace: true }), { revision: revision + 1, pending: [] });
    for (const each of clients) t.like(await each.list(), [{ name: "mixed", revision: revision + 1 }]);
  }
});

test.serial("calls go both ways: to the owners of keys, from functions to keys, and to all shards", async (t) => {
  for (const client of clients) {
    for (const node of cluster.nodes) {
      const key = keyOn(cluster, node);
      t.is(await client.call("mixed.write", { keys: [key] }), "OK");
      t.is(await client.call("mixed.far", { args: [key] }), `at:${key}`);
    }
  }
  for (const client of clients) t.is(await client.call("mixed.everywhere"), "3");
});

test.serial("RPC goes both ways: methods of libraries, built-in ones, and those of connected clients", async (t) => {
  for (const client of clients) {
    const sums = await client.rpc("mixed.add", { args: [1, 2] });
    t.deepEqual(
      sums.map((reply) => reply.fault ?? reply.value),
      [3, 3, 3],
    );
    t.is((await client.rpc("node.info")).filter(({ fault }) => !fault).length, 3);
  }
  for (const [index, client] of clients.entries()) {
    await using connection = await client.open({ methods: { whoami: () => index } });
    for (const other of clients) {
      const [reply] = await other.rpc("whoami", { target: { connection: connection.id } });
      t.like(reply, { value: index });
      t.is((await other.apply(connection.id)).details.id, connection.id);
    }
  }
});

test.serial("what is for admins is done at both where this version is asked, which knows who asks", async (t) => {
  t.true((await clients[0].rpc("log.level")).every(({ fault }) => !fault));
  const replies = await clients[PREVIOUS].rpc("log.level");
  const refused = replies.filter(({ fault }) => fault?.code === "PERMISSION_DENIED");
  t.is(refused.length, 2);
  for (const { fault } of refused) t.regex(fault?.message ?? "", /older release, ask another node/);
  const { node } = (await clients[0].rpc("node.info"))[0] ?? {};
  if (node === undefined) return t.fail();
  t.is((await faultOf(clients[PREVIOUS].rpc("topology.refresh", { target: { node } }))).code, "PERMISSION_DENIED");
  t.is((await clients[0].refreshCluster()).length, 3);
  t.is((await clients[PREVIOUS].refreshCluster()).length, 3);
});

test.serial("what is published at either reaches subscribers at both, in order", async (t) => {
  const listeners = await Promise.all(clients.map((client) => Listener.open(client, "mixed")));
  for (const [index, client] of clients.entries()) {
    await using stream = client.stream();
    const reaches = await Promise.all(Array.from({ length: 50 }, (_, i) => stream.publish("mixed", [index, i])));
    for (const reach of reaches) t.deepEqual(reach, { nodes: 3, subscribers: 3 });
  }
  const published = clients.flatMap((_, index) => Array.from({ length: 50 }, (_, i) => [index, i]));
  for (const listener of listeners) {
    const heard = await listener.count(published.length);
    t.deepEqual(
      heard.map((news) => (news.kind === "message" ? news.payload : news.kind)),
      published,
    );
    await listener[Symbol.asyncDispose]();
  }
});
