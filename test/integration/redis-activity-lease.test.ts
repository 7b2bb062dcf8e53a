import { randomUUID } from "node:crypto";
import test from "ava";
import { RedisActivityLease } from "../../src/redis/activity-lease.ts";
import { connectionName } from "../../src/redis/connection-name.ts";
import { createControlClient } from "../../src/redis/control-client.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalRedis, startRedis } from "./local-redis.ts";

const NAMESPACE = "test";

async function contend(redis: LocalRedis, { leaseMs = 1000, commandTimeoutMs = 2000 } = {}) {
  const runId = randomUUID();
  const client = createControlClient(redis, {
    name: connectionName(NAMESPACE, runId, "standby"),
    reconnect: { initialMs: 20, maxMs: 100 },
    commandTimeoutMs,
    onError: () => undefined,
  });
  const lease = new RedisActivityLease({ client, namespace: NAMESPACE, runId, leaseMs, onFailure: () => undefined });
  lease.start();
  await client.connect();
  return {
    lease,
    client,
    runId,
    [Symbol.dispose]() {
      lease.stop();
      client.disconnect();
    },
  };
}

test("of many that start at once exactly one is active, and when it goes another one follows at once", async (t) => {
  await using redis = await startRedis();
  const all = await Promise.all(Array.from({ length: 6 }, () => contend(redis)));
  t.teardown(() => {
    for (const one of all) one[Symbol.dispose]();
  });
  let most = 0;
  const count = () => all.filter(({ lease }) => lease.isHeld()).length;
  for (const { lease } of all) lease.subscribe(() => (most = Math.max(most, count())));
  for (let round = 0; round < 4; round++) {
    await eventually(() => count() === 1, { what: "one active coordinator" });
    const holder = all.find(({ lease }) => lease.isHeld());
    if (!holder) return t.fail();
    all.splice(all.indexOf(holder), 1);
    holder[Symbol.dispose]();
    t.false(holder.lease.isHeld());
  }
  t.is(most, 1);
});

test("a holder stays active, and another one stands by", async (t) => {
  await using redis = await startRedis();
  // Longer than a busy machine stops for: who stops for as long has lost it.
  const leaseMs = 1500;
  using first = await contend(redis, { leaseMs });
  await eventually(() => first.lease.isHeld(), { what: "first active" });
  using second = await contend(redis, { leaseMs });
  let wasHeld = false;
  second.lease.subscribe(() => {
    wasHeld = true;
  });
  const until = performance.now() + 8 * leaseMs;
  await eventually(() => performance.now() > until, { what: "end of eight leases" });
  t.false(wasHeld);
  t.true(first.lease.isHeld());
  t.false(second.lease.isHeld());
});

test("a holder that hangs is fenced before another one becomes active", async (t) => {
  await using redis = await startRedis();
  // It has the name and never says anything again.
  const hung = (["active", "sandbox"] as const).map((purpose) => {
    const connection = new RespConnection(redis, {
      name: connectionName(NAMESPACE, "hung", purpose),
      onState: ({ kind }) => {
        if (kind === "waiting") connection.close();
      },
    });
    connection.connect();
    return connection;
  });
  t.teardown(() => {
    for (const connection of hung) connection.close();
  });
  await Promise.all(hung.map((connection) => connection.whenReady()));
  using successor = await contend(redis);
  let wereFenced: boolean | undefined;
  successor.lease.subscribe(() => {
    wereFenced ??= hung.every(({ state }) => state.kind !== "ready");
  });
  t.false(successor.lease.isHeld());
  await eventually(() => successor.lease.isHeld(), { what: "successor" });
  const list = String(await successor.client.call("CLIENT", "LIST"));
  t.false(list.includes("hung"));
  t.true(list.includes(connectionName(NAMESPACE, successor.runId, "active")));
  t.true(wereFenced);
});

test("the lease is lost with the connection and taken again with the next one", async (t) => {
  await using redis = await startRedis();
  using only = await contend(redis);
  await eventually(() => only.lease.isHeld(), { what: "active" });
  redis.process.kill("SIGKILL");
  await eventually(() => !only.lease.isHeld(), { what: "lease lost" });
  await redis.restart();
  await eventually(() => only.lease.isHeld(), { what: "active again" });
  t.true(only.lease.isHeld());
});

test("a Redis that does not answer ends the lease by the clock alone", async (t) => {
  await using redis = await startRedis();
  using only = await contend(redis, { commandTimeoutMs: 60_000 });
  await eventually(() => only.lease.isHeld(), { what: "active" });
  redis.process.kill("SIGSTOP");
  const stoppedAt = performance.now();
  await eventually(() => !only.lease.isHeld(), { what: "lease run out" });
  t.true(performance.now() - stoppedAt < 10_000);
  redis.process.kill("SIGCONT");
  await eventually(() => only.lease.isHeld(), { what: "active again" });
});

test("it is kept by a server that takes no writes", async (t) => {
  await using redis = await startRedis({ args: ["--maxmemory", "1", "--maxmemory-policy", "noeviction"] });
  using only = await contend(redis);
  await eventually(() => only.lease.isHeld(), { what: "active" });
  await t.throwsAsync(only.client.set("k", "v"), { message: /OOM/ });
});
