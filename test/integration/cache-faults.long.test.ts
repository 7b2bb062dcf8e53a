import test from "ava";
import { monotonicMs } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultText } from "../support/fault-of.ts";
import { keysInSlots, spreadKeys } from "../support/keys.ts";

/** Long enough that half of it would be seen. */
const PADDING = "x".repeat(10_000);

function connected({ nodes, token }: Cluster): GearmeshClient {
  const [node] = nodes;
  if (!node) throw new Error("there is no node");
  return connect({ address: node.coordinator.address, token });
}

/** Somebody who saves one number after the other to a key, as fast as it goes. */
class Writer {
  /** The last number that was accepted, and the last one that may have been. */
  accepted = 0;
  attempted = 0;
  readonly codes = new Set<string>();
  readonly slowest = { tookMs: 0 };
  readonly key: string;
  readonly #client: GearmeshClient;
  readonly #timeoutMs: number;

  constructor(client: GearmeshClient, key: string, timeoutMs = 60_000) {
    this.#client = client;
    this.key = key;
    this.#timeoutMs = timeoutMs;
  }

  async write(until: () => boolean): Promise<void> {
    while (!until()) {
      const next = this.attempted + 1;
      const startMs = monotonicMs();
      try {
        await this.#client.cache.save(this.key, { next, PADDING }, { timeoutMs: this.#timeoutMs });
        [this.attempted, this.accepted] = [next, next];
      } catch (thrown) {
        const { code } = Fault.from(thrown);
        this.codes.add(code);
        if (code !== "UNAVAILABLE") this.attempted = next;
      }
      this.slowest.tookMs = Math.max(this.slowest.tookMs, monotonicMs() - startMs);
    }
  }

  /** What was accepted is there, whole, or something later that may have been. */
  async isKept(): Promise<boolean> {
    const { value } = await this.#client.cache.load(this.key);
    const { next, PADDING: padding } = value as { next: number; PADDING: string };
    return padding === PADDING && next >= this.accepted && next <= this.attempted;
  }
}

// One after the other: each has a cluster of its own.
test.serial(
  "a Redis that is full, or takes no writes, says so, changes nothing, and is read from all the same",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
    await using client = connected(cluster);
    const { cache } = client;
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    const ask = async (command: string) => t.is(await askRedis(node.redis, command), "+OK");
    await cache.save("kept", "before", { lifetimeMs: 600_000 });
    await cache.save("doomed", 1);
    await cache.push("list", 1);
    const { revision, expireTimestamp } = await cache.load("kept");
    const lock = await cache.lock("locked");
    const writes = {
      save: () => cache.save("kept", PADDING),
      fresh: () => cache.save("fresh", PADDING),
      compareAndSet: () => cache.compareAndSet("kept", revision, PADDING),
      extended: () => cache.load("kept", { lifetimeMs: 1_000_000 }),
      push: () => cache.push("list", 2),
      lock: () => cache.lock("other"),
      getOrLock: () => cache.getOrLock("another"),
    };

    await ask("CONFIG SET maxmemory 1");
    for (const [name, write] of Object.entries(writes)) {
      t.regex(await faultText(write()), /^RESOURCE_EXHAUSTED: .*refused: OOM/, name);
    }
    const faults = await cache.saveMany(new Map([["fresh", 1]]));
    t.is(faults.get("fresh")?.code, "RESOURCE_EXHAUSTED");
    t.is((await cache.load("kept")).value, "before");
    t.is((await cache.getOrLock("kept")).object?.value, "before");
    // What gives memory back is not refused.
    t.true(await cache.destroy("doomed"));
    t.true(await cache.unlock("locked", { fencingToken: lock?.fencingToken ?? 0 }));
    await ask("CONFIG SET maxmemory 0");

    for (const [set, reset, name] of [
      ["CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"],
      ["REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "READONLY"],
    ] as const) {
      await ask(set);
      for (const write of Object.values(writes)) {
        t.regex(await faultText(write()), new RegExp(`^UNAVAILABLE: .*refused: ${name}`));
      }
      t.is((await cache.load("kept")).value, "before");
      await ask(reset);
    }

    const after = await cache.load("kept");
    t.deepEqual([after.revision, after.expireTimestamp], [revision, expireTimestamp]);
    t.is(await cache.listLength("list"), 1);
    t.is(await cache.size(), 2);
    for (const write of Object.values(writes)) await t.notThrowsAsync(write());
  },
);

test.serial(
  "while a Redis is away for 10 s each call ends with a clear code; then all that was accepted is there, and whole",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 3 });
    await using client = connected(cluster);
    const [, away] = cluster.nodes;
    if (!away) return t.fail();
    let isOver = false;
    const writers = spreadKeys(12).map((key) => new Writer(client, `away:${key}`, 4000));
    const writing = writers.map((writer) => writer.write(() => isOver));
    await eventually(() => writers.every(({ accepted }) => accepted > 0), { what: "what was accepted before" });
    away.redis.pause();
    const pausedAtMs = monotonicMs();
    const failed = () => writers.filter(({ codes }) => codes.size > 0);
    await eventually(() => failed().length > 0, { what: "a failure", deadlineMs: 20_000 });
    const fill = client.cache.getOrLock(failed()[0]?.key ?? "", { timeoutMs: 3000 });
    t.regex(await faultText(fill), /^(?:UNAVAILABLE|INDETERMINATE|DEADLINE_EXCEEDED)/);
    await eventually(() => monotonicMs() - pausedAtMs > 10_000, { what: "the end of 10 s" });
    const before = writers.map(({ accepted }) => accepted);
    away.redis.resume();
    await eventually(() => writers.every(({ accepted }, index) => accepted > (before[index] ?? 0)), {
      what: "what is accepted after",
    });
    isOver = true;
    await Promise.all(writing);
    t.true(failed().length < writers.length, "the other shards went on");
    for (const writer of writers) {
      t.true(await writer.isKept(), writer.key);
      t.true(writer.slowest.tookMs < 10_000, "each call ends while its Redis is away");
      for (const code of writer.codes) t.regex(code, /^(?:UNAVAILABLE|INDETERMINATE|DEADLINE_EXCEEDED)$/);
    }
  },
);

test.serial("while slots move nothing is refused, nothing accepted is lost, and scans find everything", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  await using client = connected(cluster);
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  const moving = keysInSlots([100, 101, 102, 103, 104, 105], 3);
  const still = spreadKeys(60);
  // Their whole names decide on their slots, so their tags are those keys.
  const keys = [...moving, ...still].map((key) => `moving:{${key}}`);
  let isOver = false;
  const writers = keys.slice(0, 18).map((key) => new Writer(client, key));
  await client.cache.saveMany(new Map(keys.map((key) => [key, { next: 0, PADDING }])));
  const writing = writers.map((writer) => writer.write(() => isOver));
  const sizes: number[] = [];
  const counting = (async () => {
    while (!isOver) sizes.push(new Set(await Array.fromAsync(client.cache.keys("moving:*"))).size);
  })();
  await cluster.moveSlots({ start: 100, end: 105 }, first, second);
  await eventually(() => sizes.length > 1, { what: "a scan" });
  isOver = true;
  await Promise.all([...writing, counting]);
  t.deepEqual([...new Set(sizes)], [keys.length]);
  for (const writer of writers) {
    t.true(await writer.isKept(), writer.key);
    t.deepEqual([...writer.codes], []);
  }
  t.is(await client.cache.clear("moving:*"), keys.length);
});
