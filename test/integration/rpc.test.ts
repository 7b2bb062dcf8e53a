import { readFile } from "node:fs/promises";
import test from "ava";
import type { Fault, FaultCode } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { RpcReply } from "../../src/client/rpc.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { metricOf } from "../support/metrics-of.ts";

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];

const NAMES = ["gearmesh-1", "gearmesh-2", "gearmesh-3"];

test.before(async () => {
  cluster = await startPatientCluster({ shards: 3, env: { GEARMESH_MAX_RESULT_BYTES: String(64 * 1024) } });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
  // A coordinator is ready before all others have heard what it goes by.
  for (const caller of clients) {
    const knowsAll = () => Promise.all(NAMES.map((node) => caller.rpc("ping", { target: { node } })));
    await eventually(knowsAll, { what: "the names of all nodes" });
  }
});

test.after.always(async () => {
  for (const client of clients) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

function client(index: number): GearmeshClient {
  const found = clients[index];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

function namesOf(replies: readonly RpcReply[]): string[] {
  return replies.map(({ node }) => node).sort();
}

test("the seed's first example: all nodes log a message, the caller's included", async (t) => {
  const replies = await client(0).rpc("api.log", { args: ["hello from the seed"] });
  t.deepEqual(namesOf(replies), NAMES);
  for (const { coordinator } of cluster.nodes) {
    const what = `the line in the log of ${coordinator.address}`;
    t.true(
      await eventually(async () => /hello from the seed/.test(await readFile(coordinator.logPath, "utf8")), { what }),
    );
  }
});

test("the seed's second example: auth is set on a connection wherever it is, by each node", async (t) => {
  for (const [at, holder] of clients.entries()) {
    await using connection = await holder.open({ type: "websocket" });
    for (const caller of clients) {
      const { details } = await caller.apply(connection.id, "set", ["auth", true]);
      t.deepEqual(details.attributes, { auth: true });
      t.is(details.node, connection.details.node);
    }
    const { details } = await client((at + 1) % 3).apply(connection.id);
    t.is(details.id, connection.id);
    t.is(details.type, "websocket");
    t.is(details.fingerprint, connection.id);
    t.is(details.remoteIp, "127.0.0.1");
    t.true(details.remotePort > 0);
    t.true(Math.abs(details.connectedAt.getTime() - Date.now()) < 60_000);
  }
});

test("each target: one node by its name, the holder of a connection, the owner of a key", async (t) => {
  for (const name of NAMES) {
    for (const caller of clients) {
      const [reply, ...others] = await caller.rpc("node.info", { target: { node: name } });
      t.is(others.length, 0);
      t.like(reply, { node: name, value: { name } });
    }
  }
  await using connection = await client(1).open();
  const [held] = await client(2).rpc("node.info", { target: { connection: connection.id } });
  t.is(held?.node, connection.details.node);
  const { shard } = await client(0).locateKey("x");
  for (const caller of clients) {
    const [owner] = await caller.rpc("node.info", { target: { key: "x" } });
    t.like(owner, { value: { nodeId: shard.id } });
  }
});

test("a connected client serves a method, arguments in their order, to every kind of caller", async (t) => {
  await using connection = await client(0).open({
    methods: {
      join: (...parts) => parts.join("-"),
      echo: (bytes) => bytes,
    },
  });
  const target = { connection: connection.id };
  const [joined] = await client(1).rpc("join", { args: ["a", 1, true], target });
  t.like(joined, { value: "a-1-true", node: connection.details.node });
  const bytes = new Uint8Array([0, 255, 1]);
  const [echoed] = await client(2).rpc("echo", { args: [bytes], target });
  t.deepEqual(echoed?.fault === undefined && Buffer.from(echoed?.value as Uint8Array), Buffer.from(bytes));
  const { value } = await client(2).apply(connection.id, "join", ["x", null]);
  t.is(value, "x-");
});

test("clients that have registered one method on a node share its calls", async (t) => {
  const served = [0, 0];
  const count = (index: 0 | 1) => () => {
    served[index] = (served[index] ?? 0) + 1;
    return index;
  };
  await using first = await client(0).open({ methods: { shared: count(0) } });
  await using second = await client(0).open();
  await second.registerMethod("shared", count(1));
  for (let i = 0; i < 10; i++) await client(1).rpc("shared", { target: { node: first.details.node } });
  t.deepEqual(served, [5, 5]);
  await second.unregisterMethod("shared");
  await client(1).rpc("shared", { target: { node: first.details.node } });
  t.deepEqual(served, [6, 5]);
});

test("with all nodes there are errors beside results; a method that nobody knows is one error", async (t) => {
  await using connection = await client(2).open({ methods: { onlyHere: () => "here" } });
  const replies = await client(0).rpc("onlyHere");
  t.deepEqual(namesOf(replies), NAMES);
  for (const { node, fault } of replies)
    t.is(fault?.code, node === connection.details.node ? undefined : "UNKNOWN_METHOD");
  t.deepEqual(
    (await client(0).rpc("onlyHere", { wait: "first" })).map(({ node }) => node),
    [connection.details.node],
  );
  t.deepEqual(await client(0).rpc("onlyHere", { wait: "none" }), []);
  t.is((await faultOf(client(0).rpc("nowhere"))).code, "UNKNOWN_METHOD");
});

test("a method that throws, one that never answers, one that returns too much: each its code, and nothing stays", async (t) => {
  await using connection = await client(1).open({
    methods: {
      throws: () => {
        throw new Error("no such luck");
      },
      never: () => new Promise(() => undefined),
      tooMuch: () => "x".repeat(100_000),
    },
  });
  const target = { connection: connection.id };
  const expected: [string, FaultCode, RegExp][] = [
    ["throws", "METHOD_FAILED", /^no such luck$/],
    ["never", "DEADLINE_EXCEEDED", /^RPC Timeout$/],
    ["tooMuch", "RESOURCE_EXHAUSTED", /maxResultBytes/],
    ["unknown", "UNKNOWN_METHOD", /unknown/],
  ];
  for (const caller of clients) {
    for (const [method, code, text] of expected) {
      const timeoutMs = method === "never" ? 300 : 30_000;
      const fault = await faultOf(caller.rpc(method, { target, timeoutMs }));
      t.is(fault.code, code, `${method}: ${fault.message}`);
      t.regex(fault.message, text);
    }
  }
  t.is((await faultOf(client(0).apply(connection.id, "never", [], { timeoutMs: 300 }))).message, "RPC Timeout");
  for (const { coordinator } of cluster.nodes) {
    for (const series of ["gearmesh_rpc_pending", "gearmesh_rpc_in_flight", "gearmesh_link_in_flight"]) {
      t.true(await eventually(async () => (await metricOf(coordinator, series)) === 0, { what: `${series} 0` }));
    }
  }
  t.like((await client(0).rpc("ping", { target }))[0], { value: "pong" });
});

test("unknown connections and nodes, and bad input, have codes of their own", async (t) => {
  const id = "0".repeat(32);
  t.is((await faultOf(client(0).apply(id))).code, "UNKNOWN_CONNECTION");
  t.is((await faultOf(client(0).rpc("ping", { target: { connection: id } }))).code, "UNKNOWN_CONNECTION");
  t.is((await faultOf(client(0).rpc("ping", { target: { node: "gearmesh-99" } }))).code, "UNKNOWN_NODE");
  t.is((await faultOf(client(0).rpc(""))).code, "INVALID_ARGUMENT");
  await using connection = await client(0).open({ methods: { once: () => 1 } });
  t.is((await faultOf(connection.registerMethod("once", () => 2))).code, "METHOD_EXISTS");
  t.is((await faultOf(connection.registerMethod("ping", () => 2))).code, "METHOD_EXISTS");
  t.is((await faultOf(connection.registerMethod("set", () => 2))).code, "METHOD_EXISTS");
  t.is((await faultOf(client(1).apply(connection.id, "set", ["k", "x".repeat(100_000)]))).code, "RESOURCE_EXHAUSTED");
  t.is((await faultOf(client(1).apply(connection.id, "set", [1, 2]))).code, "INVALID_ARGUMENT");
  t.deepEqual((await client(1).apply(connection.id)).details.attributes, {});
});

test("an application without a connection's stream calls over its own", async (t) => {
  await using caller = await client(0).open();
  await using server = await client(2).open({ methods: { twice: (n) => 2 * Number(n) } });
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, i) => caller.rpc("twice", { args: [i], target: { connection: server.id } })),
  );
  t.deepEqual(
    replies.map(([reply]) => reply?.fault === undefined && reply?.value),
    Array.from({ length: 200 }, (_, i) => 2 * i),
  );
});

test("messages arrive in order, whichever node they are sent from; quit ends the connection", async (t) => {
  const heard: unknown[] = [];
  const connection = await client(0).open({ onMessage: (message) => heard.push(message) });
  for (let i = 0; i < 30; i++) await client(i % 3).apply(connection.id, "sendMessage", [{ i }]);
  await eventually(() => heard.length === 30, { what: "30 messages" });
  t.deepEqual(
    heard,
    Array.from({ length: 30 }, (_, i) => ({ i })),
  );
  t.is(await connection.verb("paramAdd", "lang", "de"), null);
  t.is(await connection.verb("paramView", "lang"), "de");
  t.like(await connection.verb("detailsView"), { id: connection.id, params: { lang: "de" } });
  t.is(await connection.verb("paramDelete", "lang"), null);
  t.is(await connection.verb("paramView", "lang"), null);
  await connection.quit();
  t.is((await faultOf(client(1).apply(connection.id))).code, "UNKNOWN_CONNECTION");
});

test("destroy ends a connection from any node", async (t) => {
  const { promise: closed, resolve } = Promise.withResolvers<Fault>();
  const connection = await client(0).open({ onClosed: resolve });
  await client(1).apply(connection.id, "destroy");
  t.is((await closed).code, "CANCELLED");
  t.is((await faultOf(client(2).apply(connection.id))).code, "UNKNOWN_CONNECTION");
});
