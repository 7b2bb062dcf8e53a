import test from "ava";
import type { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Connection, OpenOptions } from "../../src/client/connection.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];

const LEASE_MS = 5000;
const GRACE_MS = 10_000;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: {
      GEARMESH_CONNECTION_LEASE_MS: String(LEASE_MS),
      GEARMESH_RESUME_GRACE_MS: String(GRACE_MS),
      GEARMESH_MAX_WAITING_DELIVERIES: "20",
    },
  });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
});

test.after.always(async () => {
  for (const client of clients) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

/** A client whose link goes through a proxy, and a connection of it that notes what it hears. */
async function openThroughProxy(index: number, options: OpenOptions = {}) {
  const coordinator = cluster.nodes[index]?.coordinator;
  const port = Number(coordinator?.address.split(":")[1]);
  const proxy: TcpProxy = await startTcpProxy(port, { keep: false });
  const client = connect({ address: `127.0.0.1:${proxy.port}`, token: cluster.token });
  const heard: unknown[] = [];
  const missed: unknown[] = [];
  const connection = await client.open({
    onMessage: (message) => heard.push(message),
    onMissed: (count) => missed.push(count),
    ...options,
  });
  return {
    proxy,
    connection,
    heard,
    missed,
    async [Symbol.asyncDispose]() {
      await connection.quit();
      client.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function client(index: number): GearmeshClient {
  const found = clients[index];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

function count(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

async function send(connection: Connection, from: number, to: number): Promise<void> {
  for (const i of count(from, to)) await client(i % 3).apply(connection.id, "sendMessage", [i]);
}

/** Until the other tests' client has found it again, too. */
async function restart(index: number): Promise<void> {
  await cluster.nodes[index]?.coordinator.start();
  await eventually(async () => (await client(index).health()) === "serving", { what: `coordinator ${index} again` });
}

test("a client that lost its link comes back under its id, and hears what was sent meanwhile, once and in order", async (t) => {
  await using opened = await openThroughProxy(0, { methods: { where: () => "here" } });
  const { connection, heard, missed, proxy } = opened;
  await client(1).apply(connection.id, "set", ["auth", true]);
  for (let round = 0; round < 3; round++) {
    await send(connection, round * 20, round * 20 + 5);
    proxy.refuse();
    await eventually(() => !connection.isLinked, { what: "the loss of the link" });
    await send(connection, round * 20 + 5, round * 20 + 20);
    proxy.mend();
    await eventually(() => connection.isLinked, { what: "the connection again" });
  }
  await send(connection, 60, 62);
  await eventually(() => heard.length === 62, { what: "62 messages" });
  t.deepEqual(heard, count(0, 62));
  t.deepEqual(missed, []);
  const { details, value } = await client(2).apply(connection.id, "where");
  t.is(value, "here");
  t.deepEqual(details.attributes, { auth: true });
});

test("more than the log keeps is missed, and the client is told how much, in its place", async (t) => {
  await using opened = await openThroughProxy(1);
  const { connection, heard, missed, proxy } = opened;
  proxy.refuse();
  connection.abandon();
  await send(connection, 0, 50);
  const again: unknown[] = [];
  await using resumed = await client(2).open({
    resume: connection.resumePoint,
    onMessage: (message) => again.push(message),
    onMissed: (n) => again.push({ missed: n }),
  });
  t.is(resumed.id, connection.id);
  await eventually(() => again.length === 21, { what: "the notice and 20 messages" });
  t.deepEqual(again, [{ missed: 30 }, ...count(30, 50)]);
  t.deepEqual([heard, missed], [[], []]);
});

test("a connection is resumed on another node, with its messages, and is found there", async (t) => {
  const first = await client(0).open({ params: { lang: "de" } });
  await client(1).apply(first.id, "set", ["auth", true]);
  first.abandon();
  await send(first, 0, 7);
  const heard: unknown[] = [];
  await using second = await client(1).open({ resume: first.resumePoint, onMessage: (message) => heard.push(message) });
  t.is(second.id, first.id);
  t.not(second.details.node, first.details.node);
  t.like(second.details, { params: { lang: "de" }, attributes: { auth: true } });
  await send(second, 7, 12);
  await eventually(() => heard.length === 12, { what: "12 messages" });
  t.deepEqual(heard, count(0, 12));
  for (const caller of clients) t.is((await caller.apply(first.id)).details.node, second.details.node);
});

const ends: Readonly<Record<string, (connection: Connection) => Promise<unknown>>> = {
  "is destroyed": ({ id }) => client(1).apply(id, "destroy"),
  "is resumed on another stream": ({ resumePoint }) => client(0).open({ resume: resumePoint }),
  "is resumed on another node": ({ resumePoint }) => client(1).open({ resume: resumePoint }),
};

for (const [how, end] of Object.entries(ends)) {
  test(`a connection that ${how} is over for its client, which does not try to resume it`, async (t) => {
    const closed = Promise.withResolvers<Fault>();
    const connection = await client(0).open({
      onLost: (fault) => t.fail(`it was lost: ${fault.message}`),
      onClosed: closed.resolve,
    });
    await end(connection);
    const fault = await closed.promise;
    t.is(fault.code, "CANCELLED");
    t.is(fault.message, how.replace("is ", "the connection was "));
    t.false(connection.isLinked);
  });
}

test("a resume token works once, and not after the grace time, and no made-up one works", async (t) => {
  const first = await client(0).open();
  const { token } = first.resumePoint;
  first.abandon();
  const second = await client(1).open({ resume: { token, receivedSequence: 0 } });
  t.is((await faultOf(client(2).open({ resume: { token, receivedSequence: 0 } }))).code, "UNAUTHENTICATED");
  const forged = `${first.id}.${"A".repeat(43)}`;
  for (const wrong of [forged, "nonsense", `${token}x`]) {
    t.is((await faultOf(client(0).open({ resume: { token: wrong, receivedSequence: 0 } }))).code, "UNAUTHENTICATED");
  }
  t.is((await client(2).apply(first.id)).details.id, first.id);
  const { resumePoint } = second;
  second.abandon();
  await eventually(
    async () =>
      (await client(0)
        .apply(first.id)
        .catch(() => undefined)) === undefined,
    {
      what: "the end of the grace time",
    },
  );
  t.is((await faultOf(client(0).open({ resume: resumePoint }))).code, "UNKNOWN_CONNECTION");
});

test("of two clients with one token at the same time one is refused", async (t) => {
  for (let round = 0; round < 5; round++) {
    const first = await client(0).open();
    const { resumePoint } = first;
    first.abandon();
    const both = await Promise.allSettled([0, 1].map((index) => client(index).open({ resume: resumePoint })));
    t.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    for (const outcome of both) if (outcome.status === "fulfilled") await outcome.value.quit();
  }
});

test.serial("a coordinator that is stopped hands its connections over, with what is kept for them", async (t) => {
  const node = cluster.nodes[1];
  const [missed, heard]: [unknown[], unknown[]] = [[], []];
  const alternatives = [cluster.nodes[0]?.coordinator.address ?? ""];
  await using ours = connect({ address: node?.coordinator.address ?? "", token: cluster.token, alternatives });
  await using connection = await ours.open({
    onMessage: (message) => heard.push(message),
    onMissed: (n) => missed.push(n),
  });
  await send(connection, 0, 30);
  await Promise.all([
    node?.coordinator.stop(),
    eventually(() => connection.isLinked && connection.details.node !== "gearmesh-2", { what: "another holder" }),
  ]);
  await client(2).apply(connection.id, "sendMessage", [30]);
  await eventually(() => heard.length === 31, { what: "31 messages" });
  t.deepEqual(heard, count(0, 31));
  t.deepEqual(missed, []);
  await restart(1);
});

test.serial(
  "after the death of its coordinator a connection comes back elsewhere and is told that it is not known what it missed",
  async (t) => {
    const node = cluster.nodes[2];
    const missed: unknown[] = [];
    const heard: unknown[] = [];
    const lost = Promise.withResolvers<void>();
    const alternatives = [cluster.nodes[0]?.coordinator.address ?? ""];
    await using client2 = connect({ address: node?.coordinator.address ?? "", token: cluster.token, alternatives });
    await using connection = await client2.open({
      onMessage: (message) => heard.push(message),
      onMissed: (n) => missed.push(n),
      onLost: () => lost.resolve(),
    });
    const other = await client(2).open();
    await client(0).apply(connection.id, "set", ["auth", "kept"]);
    await send(connection, 0, 2);
    await eventually(() => heard.length === 2, { what: "two messages" });
    await node?.coordinator.kill();
    await lost.promise;
    await eventually(() => connection.isLinked, { what: "the connection again" });
    await client(0).apply(connection.id, "sendMessage", ["after"]);
    await eventually(() => heard.length === 3, { what: "a message after it" });
    t.deepEqual(missed, ["unknown"]);
    t.like((await client(1).apply(connection.id)).details, { attributes: { auth: "kept" } });
    other.abandon();
    const gone = async () => (await faultOf(client(1).apply(other.id))).code === "UNKNOWN_CONNECTION";
    await eventually(gone, { what: "the end of the dead node's lease" });
    await restart(2);
  },
);
