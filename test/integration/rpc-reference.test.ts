/** One test for each line of what Actionhero's users expect of RPC, connections and generic pub/sub, named after the line; rooms and verbs are in rooms.test.ts. */
import { readFile } from "node:fs/promises";
import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { Listener } from "../support/listener.ts";
import { metricOf } from "../support/metrics-of.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

let cluster: Cluster;
let clients: readonly [GearmeshClient, GearmeshClient, GearmeshClient];

test.before(async () => {
  cluster = await startPatientCluster({ shards: 3 });
  const [one, two, three] = cluster.nodes.map(({ coordinator }) =>
    connect({ address: coordinator.address, token: cluster.token }),
  );
  if (!one || !two || !three) throw new Error("three nodes were started");
  clients = [one, two, three];
  // A coordinator is ready before all others have heard what it goes by.
  for (const caller of clients) {
    const knowsAll = () => Promise.all([1, 2, 3].map((n) => caller.rpc("ping", { target: { node: `gearmesh-${n}` } })));
    await eventually(knowsAll, { what: "the names of all nodes" });
  }
});

test.after.always(async () => {
  for (const client of clients ?? []) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

test("RPC: `doCluster(method, args)` runs the method on every node, the caller's included", async (t) => {
  const replies = await clients[0].rpc("node.info");
  const ids = replies.map((reply) => reply.fault ?? (reply.value as { runId: string }).runId);
  t.is(new Set(ids).size, 3);
});

test("RPC: or only on the node that holds `connectionId`", async (t) => {
  await using connection = await clients[1].open();
  const replies = await clients[0].rpc("node.info", { target: { connection: connection.id } });
  t.deepEqual(
    replies.map(({ node }) => node),
    [connection.details.node],
  );
});

test("RPC: with a callback the first response wins", async (t) => {
  await using slow = await clients[1].open({ methods: { race: () => new Promise(() => undefined) } });
  await using quick = await clients[2].open({ methods: { race: () => "first" } });
  const replies = await clients[0].rpc("race", { wait: "first" });
  t.deepEqual(replies, [{ node: quick.details.node, value: "first" }]);
  t.not(slow.details.node, quick.details.node);
});

test('RPC: `rpcTimeout` 5000 ms, error text "RPC Timeout"', async (t) => {
  await using silent = await clients[1].open({ methods: { silent: () => new Promise(() => undefined) } });
  const started = performance.now();
  const fault = await faultOf(clients[0].rpc("silent", { target: { connection: silent.id } }));
  const took = performance.now() - started;
  t.deepEqual([fault.code, fault.message], ["DEADLINE_EXCEEDED", "RPC Timeout"]);
  t.true(took > 4500 && took < 9000, `it took ${took} ms`);
});

test("RPC, better: only registered methods can be called", async (t) => {
  for (const method of ["api.shutdown", "process.exit", "constructor", "toString", "__proto__", "call", "close"]) {
    t.is((await faultOf(clients[0].rpc(method))).code, "UNKNOWN_METHOD", method);
  }
});

test("RPC, better: a method that throws never harms its node and comes back as an error", async (t) => {
  const methods = {
    bad: () => {
      throw new Error("it went wrong");
    },
  };
  await using server = await clients[1].open({ methods });
  const target = { connection: server.id };
  for (let i = 0; i < 20; i++) {
    t.is((await faultOf(clients[0].rpc("bad", { target }))).message, "it went wrong");
  }
  t.like((await clients[0].rpc("ping", { target }))[0], { value: "pong" });
});

test("RPC, better: unknown method, unknown connection, remote error, timeout and lost node are five different answers", async (t) => {
  const methods = {
    fails: () => {
      throw new Error("no");
    },
    hangs: () => new Promise(() => undefined),
  };
  await using server = await clients[1].open({ methods });
  const begun = Promise.withResolvers<void>();
  const leaving = await clients[2].open({
    methods: {
      hangs: () => {
        begun.resolve();
        return new Promise(() => undefined);
      },
    },
  });
  const target = { connection: server.id };
  const lost = faultOf(clients[0].rpc("hangs", { target: { connection: leaving.id } }));
  await begun.promise;
  leaving.abandon();
  const codes = [
    (await faultOf(clients[0].rpc("nowhere", { target }))).code,
    (await faultOf(clients[0].rpc("ping", { target: { connection: "0".repeat(32) } }))).code,
    (await faultOf(clients[0].rpc("fails", { target }))).code,
    (await faultOf(clients[0].rpc("hangs", { target, timeoutMs: 200 }))).code,
    (await lost).code,
  ];
  t.deepEqual(codes, ["UNKNOWN_METHOD", "UNKNOWN_CONNECTION", "METHOD_FAILED", "DEADLINE_EXCEEDED", "INDETERMINATE"]);
});

test("RPC, better: argument order kept", async (t) => {
  await using server = await clients[1].open({ methods: { list: (...args) => args } });
  const args = ["b", 1, "a", null, true, { z: 1, a: 2 }, [3, 1, 2], 0.5];
  t.like((await clients[2].rpc("list", { args, target: { connection: server.id } }))[0], { value: args });
});

test("RPC, better: replies from all nodes can be gathered, each with its node's name", async (t) => {
  const replies = await clients[2].rpc("ping", { args: ["here"] });
  t.deepEqual(
    replies.map((reply) => [reply.node, reply.fault ?? reply.value]).sort(),
    [1, 2, 3].map((n) => [`gearmesh-${n}`, "here"]),
  );
});

test("RPC, better: nothing leaks on timeout", async (t) => {
  await using server = await clients[1].open({ methods: { hangs: () => new Promise(() => undefined) } });
  const call = () => faultOf(clients[0].rpc("hangs", { target: { connection: server.id }, timeoutMs: 100 }));
  const faults = await Promise.all(Array.from({ length: 100 }, call));
  t.true(faults.every(({ code }) => code === "DEADLINE_EXCEEDED"));
  for (const { coordinator } of cluster.nodes) {
    const pending = async () => (await metricOf(coordinator, "gearmesh_rpc_pending")) === 0;
    t.true(await eventually(pending, { what: "nothing pending" }));
  }
});

test("Connections: without a method: the details (id, type, fingerprint, remoteIP, remotePort, connectedAt, rooms, totalActions, pendingActions, and whatever was `set`)", async (t) => {
  await using connection = await clients[0].open({ type: "app", fingerprint: "browser-7" });
  await clients[2].rooms.add("details");
  await connection.verb("roomAdd", "details");
  await clients[1].apply(connection.id, "set", ["plan", { name: "gold" }]);
  const { details } = await clients[1].apply(connection.id);
  t.like(details, {
    id: connection.id,
    type: "app",
    fingerprint: "browser-7",
    remoteIp: "127.0.0.1",
    rooms: ["details"],
    totalActions: 1,
    pendingActions: 0,
    attributes: { plan: { name: "gold" } },
  });
  t.true(details.remotePort > 0);
  t.true(details.connectedAt.getTime() <= Date.now());
});

test("Connections: `set(key, value)`, and the details after it", async (t) => {
  await using connection = await clients[0].open();
  for (const [i, client] of clients.entries()) {
    t.like((await client.apply(connection.id, "set", ["n", i])).details, { attributes: { n: i } });
  }
});

test("Connections: `sendMessage(json)`", async (t) => {
  const heard: unknown[] = [];
  await using connection = await clients[0].open({ onMessage: (message) => heard.push(message) });
  await clients[1].apply(connection.id, "sendMessage", [{ a: [1] }]);
  await clients[2].apply(connection.id, "sendMessage", [new Uint8Array([1, 2])]);
  t.true(await eventually(() => heard.length === 2, { what: "two messages" }));
  t.deepEqual(heard[0], { a: [1] });
  t.deepEqual([...(heard[1] as Uint8Array)], [1, 2]);
});

test("Connections: `joinRoom`/`leaveRoom`", async (t) => {
  await clients[0].rooms.add("joined");
  await using connection = await clients[0].open();
  t.deepEqual((await clients[1].apply(connection.id, "joinRoom", ["joined"])).details.rooms, ["joined"]);
  t.deepEqual((await clients[2].apply(connection.id, "leaveRoom", ["joined"])).details.rooms, []);
});

test("Connections: `destroy`", async (t) => {
  const closed = Promise.withResolvers<void>();
  const connection = await clients[0].open({ onClosed: () => closed.resolve() });
  t.is((await clients[1].apply(connection.id, "destroy")).details.id, connection.id);
  await closed.promise;
  t.is((await faultOf(clients[0].apply(connection.id))).code, "UNKNOWN_CONNECTION");
});

test("Connections: the seed's callback is `(error, connectionDetails)`: there is one or the other", async (t) => {
  await using connection = await clients[0].open();
  t.is((await clients[1].apply(connection.id, "set", ["auth", true])).details.id, connection.id);
  t.is((await faultOf(clients[1].apply("abc123", "set", ["auth", true]))).code, "UNKNOWN_CONNECTION");
});

test("Client verbs: detailsView, paramAdd/View/Delete, quit", async (t) => {
  const connection = await clients[0].open({ params: { lang: "en" } });
  t.is(await connection.verb("paramAdd", "zone", "cet"), null);
  t.deepEqual(await connection.verb("paramView"), { lang: "en", zone: "cet" });
  t.is(await connection.verb("paramDelete", "lang"), null);
  t.like(await connection.verb("detailsView"), { id: connection.id, params: { zone: "cet" } });
  t.is((await faultOf(connection.verb("dance"))).code, "INVALID_ARGUMENT");
  await connection.quit();
  t.is((await faultOf(clients[1].apply(connection.id))).code, "UNKNOWN_CONNECTION");
});

test("Pub/sub: a handler of a message type runs on every node, the sender's included, and a message says its `serverId`", async (t) => {
  const listeners = await Promise.all(clients.map((client) => Listener.open(client, "reference.all")));
  t.deepEqual(await clients[1].publish("reference.all", { message: "hello!" }), { nodes: 3, subscribers: 3 });
  const { nodeName } = await clients[1].topology();
  for (const listener of listeners) {
    t.like((await listener.count(1))[0], { serverId: nodeName, payload: { message: "hello!" } });
    await listener[Symbol.asyncDispose]();
  }
});

test("Pub/sub: a wrong token is dropped", async (t) => {
  await using listener = await Listener.open(clients[0], "reference.token");
  await using wrong = connect({ address: cluster.nodes[1]?.coordinator.address ?? "", token: "not-the-token-at-all" });
  t.is((await faultOf(wrong.publish("reference.token", 1))).code, "UNAUTHENTICATED");
  await clients[1].publish("reference.token", 2);
  t.like((await listener.count(1))[0], { payload: 2 });
});

test("Pub/sub, better: the token never travels in a message", async (t) => {
  const [address = ""] = cluster.nodes.map(({ coordinator }) => coordinator.address);
  await using proxy = await startTcpProxy(Number(address.split(":")[1]));
  // Its own token is in the head of the stream that it opens, and then only messages pass.
  await using client = connect({ address: `127.0.0.1:${proxy.port}`, token: cluster.token });
  await using listener = await Listener.open(client, "reference.secret");
  const before = proxy.recorded().length;
  await clients[1].publish("reference.secret", { message: "no secret" });
  await listener.count(1);
  t.regex(proxy.recorded().subarray(before).toString("latin1"), /no secret/);
  t.false(proxy.recorded().subarray(before).includes(cluster.token));
  for (const { coordinator } of cluster.nodes) {
    t.false((await readFile(coordinator.logPath, "utf8")).includes(cluster.token));
  }
});
