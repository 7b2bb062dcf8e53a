import { readFile } from "node:fs/promises";
import test from "ava";
import { Redis } from "ioredis";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { encodeLibraryVersion, librarySource } from "../../src/functions/library-version.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { keyOn } from "../support/keys.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";

async function metrics({ coordinator }: ClusterNode): Promise<string> {
  return (await fetch(`http://${coordinator.opsAddress}/metrics`)).text();
}

function gauge(text: string, name: string): number {
  const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\d+)$`, "gm"))];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

/** A function that makes one remote call after the other until the flag is set. */
const WAITING = `#!js name=waiting
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("until", async (client, flag) => {
  for (let calls = 1; ; calls++) if (await client.run_on_key(flag, "read", flag)) return calls;
});
`;

interface Page {
  readonly status: number;
  readonly reason: string | undefined;
}

async function page({ coordinator }: ClusterNode, path: string): Promise<Page> {
  const response = await fetch(`http://${coordinator.opsAddress}${path}`);
  const { reason } = (await response.json()) as { reason?: string };
  return { status: response.status, reason };
}

async function isUnready(node: ClusterNode, reason: string): Promise<boolean> {
  const ready = await page(node, "/ready");
  return ready.status === 503 && ready.reason === reason;
}

// One at a time: how long an end takes is measured.
test.serial(
  "a coordinator that is told to stop finishes what runs, remote calls included, and ends in time",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 3 });
    const [node, other] = cluster.nodes;
    if (!node || !other) return t.fail();
    const { coordinator } = node;
    await using client = connect({ address: coordinator.address, token: cluster.token, timeoutMs: 60_000 });
    await client.load(WAITING);
    const calls = client.stream();
    const flag = keyOn(cluster, other);
    const running = [client, calls].map((door) => door.call("waiting.until", { args: [flag] }));
    await eventually(async () => gauge(await metrics(node), "gearmesh_calls_in_flight") >= 2, { what: "two calls" });
    const ended = coordinator.kill("SIGTERM");
    await eventually(() => isUnready(node, "the coordinator is shutting down"), { what: "a coordinator that stops" });
    const redis = new Redis(other.redis.port);
    t.teardown(() => redis.disconnect());
    const setAt = performance.now();
    await redis.set(flag, "1");
    await ended;
    t.true(performance.now() - setAt < 9000, "it does not wait out the time to drain, 10 s");
    for (const made of await Promise.all(running)) t.true(Number(made) >= 1);
    await calls.close();
    const log = await readFile(coordinator.logPath, "utf8");
    const end = log.slice(log.indexOf("the coordinator is shutting down"));
    t.regex(end, /the sandbox process ended with its coordinator/);
    t.notRegex(end, /"level":"(?:warn|error|fatal)"/, "a planned end is no incident");
  },
);

test.serial(
  "calls that do not end within the drain time get an answer, and a second signal waits for none",
  async (t) => {
    const endless = { args: ["1000000"], timeoutMs: 60_000 };
    for (const { signals, drainMs } of [
      { signals: 1, drainMs: 1000 },
      { signals: 2, drainMs: 60_000 },
    ]) {
      const env = { GEARMESH_DRAIN_TIMEOUT_MS: String(drainMs) };
      await using cluster = await startTestCluster(t, { shards: 1, env });
      const [node] = cluster.nodes;
      if (!node) return t.fail();
      await using client = connect({ address: node.coordinator.address, token: cluster.token });
      await client.load(PLAIN_LIBRARY);
      const running = client.call("plain.hops", endless).then(String, (fault: { code: string }) => fault.code);
      await eventually(async () => gauge(await metrics(node), "gearmesh_calls_in_flight") > 0, { what: "the call" });
      const { pid } = node.coordinator;
      if (pid === undefined) return t.fail();
      const askedAt = performance.now();
      const ended = node.coordinator.kill("SIGTERM");
      if (signals > 1) {
        // Two that come at once may be one.
        const isStopping = () => isUnready(node, "the coordinator is shutting down");
        await eventually(isStopping, { what: "a coordinator that stops" });
        process.kill(pid, "SIGTERM");
      }
      await ended;
      t.true(performance.now() - askedAt < 10_000);
      t.is(await running, signals === 1 ? "CANCELLED" : "INDETERMINATE");
    }
  },
);

test.serial("a coordinator that stops is unready, takes no new calls, and gives its name back", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2, env: { GEARMESH_DRAIN_TIMEOUT_MS: "8000" } });
  const [node, other] = cluster.nodes;
  if (!node || !other) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await using calls = client.stream();
  await client.load(PLAIN_LIBRARY);
  const endless = calls
    .call("plain.hops", { args: ["1000000"], timeoutMs: 60_000 })
    .catch((fault: { code: string }) => fault.code);
  await eventually(async () => gauge(await metrics(node), "gearmesh_calls_in_flight") > 0, { what: "the call" });
  const redis = new Redis.Cluster([{ port: other.redis.port }]);
  t.teardown(() => redis.disconnect());
  const namesHeld = async () => {
    const claims = Object.values(await redis.hgetall("gearmesh:{names}"));
    return claims.filter((claim) => JSON.parse(claim).expiresAt !== "0").length;
  };
  t.is(await namesHeld(), 2);
  const ended = node.coordinator.kill("SIGTERM");
  await eventually(() => isUnready(node, "the coordinator is shutting down"), { what: "the coordinator unready" });
  t.is((await page(node, "/live")).status, 200);
  // One that leaves before its stream hears of the stop still runs; what the stream had sent may have begun, as far as its client knows.
  const refusal = () => calls.call("plain.args").then(() => undefined, Fault.from);
  const refused = await eventually(refusal, { what: "a call on the stream that is refused" });
  t.regex(refused?.code ?? "", /^(UNAVAILABLE|INDETERMINATE)$/);
  await using late = connect({ address: node.coordinator.address, token: cluster.token });
  t.is((await faultOf(late.call("plain.args", { timeoutMs: 4000 }))).code, "UNAVAILABLE");
  await ended;
  t.is(await endless, "CANCELLED");
  t.is(await namesHeld(), 1);
});

test.serial(
  "a coordinator whose Redis is away, from the start or later, lives, is unready, and recovers by itself",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1 });
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    await Promise.all([node.coordinator.kill(), node.redis.kill()]);
    const started = node.coordinator.start();
    await eventually(() => isUnready(node, "Redis is not reachable"), { what: "a coordinator that is unready" });
    t.is((await page(node, "/live")).status, 200);
    await node.redis.start();
    await started;
    const { pid } = node.coordinator;
    await node.redis.kill();
    await eventually(() => isUnready(node, "Redis is not reachable"), { what: "the coordinator unready" });
    t.is((await page(node, "/live")).status, 200);
    await node.redis.start();
    await eventually(async () => (await page(node, "/ready")).status === 200, { what: "the coordinator ready again" });
    t.is(node.coordinator.pid, pid);
    // What it would give back to a Redis that says nothing does not hold it up.
    node.redis.pause();
    const askedAt = performance.now();
    await node.coordinator.kill("SIGTERM");
    t.true(performance.now() - askedAt < 10_000);
    node.redis.resume();
  },
);

test.serial("thousands of calls, failed and cancelled ones among them, leave nothing behind", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await client.load(PLAIN_LIBRARY);
  await using calls = client.stream();
  const ends = new Set<string>();
  for (let batch = 0; batch < 40; batch++) {
    const one = async (index: number): Promise<void> => {
      const keys = [`key:${index}`];
      const cancelled = AbortSignal.timeout(5);
      const call = [
        () => calls.call("plain.args", { keys }),
        () => calls.call("plain.fail", { keys, args: ["9"] }),
        () => calls.call("plain.nothing", { keys }),
        () => calls.call("plain.hops", { keys, args: ["99"], signal: cancelled }),
        () => calls.call("plain.hops", { keys, args: ["99"], timeoutMs: 5 }),
        () => calls.call("plain.shards", { keys }),
        () => client.call("plain.args", { keys }),
        () => client.call("plain.fail", { keys, args: ["9"] }),
      ][index % 8];
      await call?.().then(
        () => ends.add("OK"),
        ({ code }: { code: string }) => ends.add(code),
      );
    };
    await Promise.all(Array.from({ length: 80 }, (_, index) => one(index)));
  }
  t.deepEqual([...ends].sort(), ["CANCELLED", "DEADLINE_EXCEEDED", "FUNCTION_FAILED", "OK", "UNKNOWN_FUNCTION"]);
  for (const each of cluster.nodes) {
    await eventually(
      async () => {
        const text = await metrics(each);
        return gauge(text, "gearmesh_calls_in_flight") === 0 && gauge(text, "gearmesh_link_in_flight") === 0;
      },
      { what: "nothing in flight" },
    );
  }
});

test.serial("a library that does not load any more keeps no other one out", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1 });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await client.load(PLAIN_LIBRARY);
  const redis = new Redis(node.redis.port);
  const broken = { name: "broken", revision: 1, source: librarySource("broken", "#!js name=broken\n(((", "{}") };
  await redis.hset("gearmesh:{libraries}", "broken", Buffer.concat([Buffer.from("1:"), encodeLibraryVersion(broken)]));
  redis.disconnect();
  await node.coordinator.restart();
  t.is(await client.call("plain.args"), 0n);
  t.regex(await readFile(node.coordinator.logPath, "utf8"), /a library of the cluster does not load here/);
});
