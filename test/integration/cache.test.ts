import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import type { Fault, FaultCode } from "../../src/base/fault.ts";
import type { CacheLock } from "../../src/client/cache.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { DumpedEntry } from "../../src/client/cluster-cache.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultText } from "../support/fault-of.ts";
import { keysInSlots, spreadKeys } from "../support/keys.ts";
import { metricOf } from "../support/metrics-of.ts";

/* One test at least for each line of "Cache" in the reference page, named after it. Those that look at all keys run before the others, one after the other: each begins with an empty cache. */

const NOT_FOUND = "OBJECT_NOT_FOUND: Object not found";
const LOCKED = "OBJECT_LOCKED: Object locked";
/** Of a lock that nobody is to lose, and of waiting for one that is given back: on a busy machine everything takes long. Unit: ms. */
const LONG_MS = 600_000;

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];
let keys = 0;

test.before(async () => {
  cluster = await startPatientCluster({ shards: 3 });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
});

test.after.always(async () => {
  for (const client of clients) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

function client(index: number): GearmeshClient {
  const found = clients[index % 3];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

/** A key of the test's own. */
function freshKey(): string {
  return `own ${++keys}`;
}

async function directory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "gearmesh-cache-"));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test("`save(key, value, expireTimeMS?)` -> true: from every node, for every node", async (t) => {
  for (const [index, key] of spreadKeys(30).entries()) {
    t.true(await client(index).cache.save(`save:${key}`, { index }));
    t.deepEqual((await client(index + 1).cache.load(`save:${key}`)).value, { index });
  }
});

test("`load` -> {key, value, createdAt, expireTimestamp, readAt}", async (t) => {
  const key = freshKey();
  const before = Date.now();
  await client(0).cache.save(key, ["a", 1, null], { lifetimeMs: 60_000 });
  const first = await client(1).cache.load(key);
  t.is(first.key, key);
  t.deepEqual(first.value, ["a", 1, null]);
  t.true(Math.abs(first.createdAt.getTime() - before) < 60_000);
  t.is(first.expireTimestamp?.getTime(), first.createdAt.getTime() + 60_000);
  t.is(first.readAt, null);
  const second = await client(2).cache.load(key);
  t.true((second.readAt?.getTime() ?? 0) >= first.createdAt.getTime());
  t.deepEqual({ ...second, readAt: null }, first);
  await client(0).cache.save(key, 1);
  t.is((await client(0).cache.load(key)).expireTimestamp, null);
});

test("bytes are loaded as bytes, and JSON as it was", async (t) => {
  const key = freshKey();
  for (const value of [Buffer.from([0, 255, 7]), Buffer.alloc(0), "", 0, false, null, "é\u0000", { a: [{}] }, []]) {
    await client(0).cache.save(key, value);
    t.deepEqual((await client(1).cache.load(key)).value, value);
  }
});

test('missing or expired: "Object not found"', async (t) => {
  const key = freshKey();
  for (const each of clients) t.is(await faultText(each.cache.load(key)), NOT_FOUND);
  await client(0).cache.save(key, 1, { lifetimeMs: 300 });
  await eventually(async () => (await faultText(client(2).cache.load(key))) === NOT_FOUND, { what: "the end" });
});

test('locked by another: "Object locked", for who loads, saves or destroys', async (t) => {
  const key = freshKey();
  await client(0).cache.save(key, 1);
  t.truthy(await client(0).cache.lock(key, { lockMs: LONG_MS }));
  const { cache: others } = client(1);
  t.is(await faultText(others.load(key)), LOCKED);
  t.is(await faultText(others.save(key, 2)), LOCKED);
  t.is(await faultText(others.destroy(key)), LOCKED);
  t.is(await faultText(others.compareAndSet(key, 0, 2)), LOCKED);
  t.is((await client(0).cache.load(key)).value, 1);
  t.true(await client(0).cache.save(key, 3));
  t.true(await client(0).cache.unlock(key));
  t.is((await others.load(key)).value, 3);
});

test("`load(key, {retry})` waits for another's lock, and never goes past it", async (t) => {
  const key = freshKey();
  await client(0).cache.save(key, 1);
  await client(0).cache.lock(key, { lockMs: LONG_MS });
  t.is(await faultText(client(1).cache.load(key, { retryMs: 100 })), LOCKED);
  const waiting = client(1).cache.load(key, { retryMs: LONG_MS, timeoutMs: LONG_MS });
  await eventually(async () => (await waitingAt(1)) > 0, { what: "somebody who waits" });
  await client(0).cache.save(key, 2);
  await client(0).cache.unlock(key);
  t.is((await waiting).value, 2);
});

test("The lifetime is extended on read only when `expireTimeMS` is given", async (t) => {
  const key = freshKey();
  await client(0).cache.save(key, 1, { lifetimeMs: 50_000 });
  const { expireTimestamp: first } = await client(1).cache.load(key);
  t.deepEqual((await client(1).cache.load(key)).expireTimestamp, first);
  const extended = await client(1).cache.load(key, { lifetimeMs: 100_000 });
  t.true((extended.expireTimestamp?.getTime() ?? 0) >= (first?.getTime() ?? 0) + 50_000);
  t.deepEqual((await client(2).cache.load(key)).expireTimestamp, extended.expireTimestamp);
  // Redis knows it too.
  await client(0).cache.load(key, { lifetimeMs: 100 });
  await eventually(async () => (await faultText(client(2).cache.load(key))) === NOT_FOUND, { what: "the end" });
  await client(0).cache.save(key, 2);
  t.is((await client(0).cache.load(key, { lifetimeMs: 100 })).expireTimestamp, null, "one without a lifetime stays");
});

test("`destroy` -> bool", async (t) => {
  const key = freshKey();
  await client(0).cache.save(key, 1);
  t.true(await client(1).cache.destroy(key));
  t.false(await client(2).cache.destroy(key));
  t.is(await faultText(client(0).cache.load(key)), NOT_FOUND);
  await client(0).cache.push(key, 1);
  t.true(await client(1).cache.destroy(key));
  t.is(await client(0).cache.listLength(key), 0);
});

test("Lists: `push`, `pop` (FIFO, null when empty), `listLength`", async (t) => {
  const key = freshKey();
  const items = [{ n: 1 }, "two", Buffer.from([3]), 4];
  for (const [index, item] of items.entries()) t.is(await client(index).cache.push(key, item), index + 1);
  for (const each of clients) t.is(await each.cache.listLength(key), 4);
  for (const [index, item] of items.entries()) t.deepEqual(await client(index + 1).cache.pop(key), item);
  t.is(await client(0).cache.pop(key), null);
  t.is(await client(0).cache.listLength(key), 0);
});

test("what is popped by many at once is each got once", async (t) => {
  const key = freshKey();
  const items = Array.from({ length: 300 }, (_, index) => index);
  for (const item of items) await client(item).cache.push(key, item);
  const popped = await Promise.all(items.map((index) => client(index).cache.pop(key)));
  t.deepEqual(
    (popped as number[]).sort((a, b) => a - b),
    items,
  );
});

test("an object is no list, and a list no object", async (t) => {
  const [object, list] = [freshKey(), freshKey()];
  const { cache } = client(0);
  await cache.save(object, 1);
  await cache.push(list, 1);
  for (const call of [
    () => cache.push(object, 2),
    () => cache.pop(object),
    () => cache.listLength(object),
    () => cache.load(list),
    () => cache.compareAndSet(list, 0, 1),
    () => cache.getOrLock(list),
  ]) {
    t.regex(await faultText(call()), /^WRONG_KIND/);
  }
  t.is((await cache.load(object)).value, 1);
  t.is(await cache.pop(list), 1);
});

test("`lock(key, ms = 10000)` -> bool, `unlock` -> bool, `checkLock(key, retryMs)`", async (t) => {
  const key = freshKey();
  const before = Date.now();
  const lock = await client(0).cache.lock(key);
  t.true(Math.abs((lock?.expireTimestamp.getTime() ?? 0) - before - 10_000) < 60_000);
  t.truthy(await client(0).cache.renewLock(key, lock?.fencingToken ?? 0, { lockMs: LONG_MS }));
  for (const each of clients) t.is(await each.cache.lock(key), undefined, "it is locked");
  t.true(await client(0).cache.checkLock(key));
  t.false(await client(1).cache.checkLock(key));
  t.false(await client(1).cache.checkLock(key, { retryMs: 50 }));
  t.false(await client(1).cache.unlock(key));
  const waiting = client(1).cache.checkLock(key, { retryMs: LONG_MS, timeoutMs: LONG_MS });
  await eventually(async () => (await waitingAt(1)) > 0, { what: "somebody who waits" });
  t.true(await client(0).cache.unlock(key));
  t.true(await waiting);
  t.true(await client(1).cache.unlock(key), "nobody else has it");
  t.truthy(await client(1).cache.lock(key, { lockMs: 200 }));
  t.true(await client(2).cache.checkLock(key, { retryMs: LONG_MS, timeoutMs: LONG_MS }), "it expires");
  t.truthy(await client(2).cache.lock(key));
  await client(2).cache.unlock(key);
});

test("the holder is the node (or a name that the caller gives)", async (t) => {
  const [mine, named] = [freshKey(), freshKey()];
  await client(1).cache.lock(mine, { lockMs: LONG_MS });
  await client(1).cache.lock(named, { holder: "job 7:a", lockMs: LONG_MS });
  const { nodeName } = await client(1).topology();
  const held = await Array.fromAsync(client(2).cache.locks("own *"));
  const holderOf = (key: string) => held.find((lock) => lock.key === key)?.holder;
  t.is(holderOf(mine), nodeName);
  t.is(holderOf(named), "job 7:a");
  t.false(await client(1).cache.checkLock(named));
  t.true(await client(2).cache.checkLock(named, { holder: "job 7:a" }));
  t.true(await client(2).cache.save(named, 1, { holder: "job 7:a" }));
  t.true(await client(2).cache.unlock(named, { holder: "job 7:a" }));
  await client(1).cache.unlock(mine);
});

test("lock set with its expiry in one command and with a fencing token, which grows also across expiry", async (t) => {
  const key = freshKey();
  let last = 0;
  for (let round = 0; round < 6; round++) {
    const isGivenBack = round % 2 === 0;
    const lock = await lockedBy(round, key, isGivenBack ? LONG_MS : 20);
    t.true(lock.fencingToken > last);
    last = lock.fencingToken;
    if (isGivenBack) t.true(await client(round).cache.unlock(key, { fencingToken: last }));
  }
});

test("who has lost a lock can neither write nor renew it nor give it back; who has it, can", async (t) => {
  const key = freshKey();
  const { cache } = client(0);
  const lost = await cache.lock(key, { lockMs: 20 });
  const stale = lost?.fencingToken ?? 0;
  const held = await lockedBy(1, key, LONG_MS);
  t.regex(await faultText(cache.save(key, 1, { fencingToken: stale })), /^LOCK_LOST/);
  t.regex(await faultText(cache.destroy(key, { fencingToken: stale })), /^LOCK_LOST/);
  t.is(await cache.renewLock(key, stale), undefined);
  t.false(await cache.unlock(key, { fencingToken: stale }));
  const { fencingToken } = held;
  const renewed = await client(2).cache.renewLock(key, fencingToken, { lockMs: 2 * LONG_MS });
  t.true((renewed?.expireTimestamp.getTime() ?? 0) > held.expireTimestamp.getTime());
  t.true(await client(2).cache.save(key, 2, { fencingToken }));
  t.true(await client(2).cache.unlock(key, { fencingToken }));
  t.regex(await faultText(client(2).cache.save(key, 3, { fencingToken })), /^LOCK_LOST/);
  t.is((await cache.load(key)).value, 2);
});

test("locks are given back with the stream, connection or client over which they were taken", async (t) => {
  const [a, b, c] = [freshKey(), freshKey(), freshKey()];
  const held = [] as boolean[];
  const stream = client(0).stream();
  await stream.cache.lock(a, { lockMs: LONG_MS });
  const connection = await client(0).open();
  await connection.cache.lock(b, { lockMs: LONG_MS });
  const other = connect({ address: cluster.nodes[0]?.coordinator.address ?? "", token: cluster.token });
  await other.cache.lock(c, { lockMs: LONG_MS });
  for (const key of [a, b, c]) held.push(await client(1).cache.checkLock(key));
  t.deepEqual(held, [false, false, false]);
  await Promise.all([stream.close(), connection.quit()]);
  other.close();
  for (const key of [a, b, c]) t.true(await client(1).cache.checkLock(key, { retryMs: 60_000, timeoutMs: 90_000 }));
});

test("compareAndSet: of many who change an object at once each change counts", async (t) => {
  const key = freshKey();
  t.truthy(await client(0).cache.compareAndSet(key, 0, 0));
  t.is(await client(1).cache.compareAndSet(key, 0, 0), undefined);
  const increment = async (index: number): Promise<void> => {
    const { value, revision } = await client(index).cache.load(key);
    const next = Number(value) + 1;
    if ((await client(index).cache.compareAndSet(key, revision, next)) === undefined) await increment(index);
  };
  await Promise.all(Array.from({ length: 30 }, (_, index) => increment(index)));
  const { value, revision } = await client(0).cache.load(key);
  t.is(value, 30);
  await client(0).cache.destroy(key);
  t.is(await client(0).cache.compareAndSet(key, revision, 1), undefined, "it is gone");
});

test("one load per key for concurrent misses", async (t) => {
  const key = freshKey();
  let fills = 0;
  const values = await Promise.all(
    Array.from({ length: 100 }, (_, index) =>
      client(index).cache.getOrFill(
        key,
        async () => {
          fills++;
          await eventually(async () => (await waitingAt(0, 1, 2)) >= 99, { what: "the others" });
          return { answer: 42 };
        },
        { timeoutMs: 60_000 },
      ),
    ),
  );
  t.is(fills, 1);
  t.true(values.every((value) => JSON.stringify(value) === '{"answer":42}'));
  t.true(await client(0).cache.checkLock(key, { holder: "anybody" }), "the lock is given back");
});

test("a fill that fails fails its caller, and another one fills", async (t) => {
  const key = freshKey();
  let fills = 0;
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, index) =>
      client(index).cache.getOrFill(
        key,
        () => {
          if (++fills === 1) throw new Error("no answer");
          return fills;
        },
        { timeoutMs: 60_000 },
      ),
    ),
  );
  t.is(fills, 2);
  t.is(outcomes.filter(({ status }) => status === "rejected").length, 1);
  t.is(outcomes.filter((outcome) => outcome.status === "fulfilled" && outcome.value === 2).length, 19);
});

test("a waiter ends with its deadline", async (t) => {
  const key = freshKey();
  const { lock } = await client(0).cache.getOrLock(key, { lockMs: LONG_MS });
  t.regex(await faultText(client(1).cache.getOrLock(key, { timeoutMs: 200 })), /^DEADLINE_EXCEEDED/);
  t.regex(await faultText(client(0).cache.getOrLock(key, { timeoutMs: 200 })), /^DEADLINE_EXCEEDED/);
  await eventually(async () => (await waitingAt(0, 1)) === 0, { what: "nobody who waits" });
  if (lock) await client(0).cache.fill(key, lock, 1);
  t.is((await client(1).cache.getOrLock(key)).object?.value, 1);
});

test("many at once: bulk save and load, each by itself, on all shards", async (t) => {
  const many = spreadKeys(200).map((key) => `many:${key}`);
  const [locked = "", list = "", missing = ""] = many;
  const codes: readonly FaultCode[] = ["OBJECT_LOCKED", "WRONG_KIND", "OBJECT_NOT_FOUND"];
  const { cache } = client(0);
  await client(1).cache.lock(locked, { holder: "somebody", lockMs: LONG_MS });
  const faults = await cache.saveMany(new Map(many.map((key, index) => [key, { index }])), { lifetimeMs: LONG_MS });
  t.deepEqual(
    [...faults].map(([key, { code }]) => [key, code]),
    [[locked, "OBJECT_LOCKED"]],
  );
  await cache.destroy(list);
  await cache.push(list, 1);
  await cache.destroy(missing);
  const loaded = await client(2).cache.loadMany(many);
  t.deepEqual([...loaded.keys()], many);
  for (const [index, key] of many.entries()) {
    const outcome = loaded.get(key);
    if (index < 3) t.is((outcome as Fault).code, codes[index] ?? "INTERNAL");
    else t.deepEqual((outcome as { value: unknown }).value, { index });
  }
});

test("a fractional or negative lifetime is refused before anything is written; so is zero, and what is no number", async (t) => {
  const key = freshKey();
  const { cache } = client(0);
  for (const lifetimeMs of [0, -1, 0.5, 1000.1, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, "7" as never]) {
    for (const call of [
      () => cache.save(key, 1, { lifetimeMs }),
      () => cache.compareAndSet(key, 0, 1, { lifetimeMs }),
      () => cache.load(key, { lifetimeMs }),
      () => cache.saveMany(new Map([[key, 1]]), { lifetimeMs }),
      () => cache.lock(key, { lockMs: lifetimeMs }),
      () => cache.getOrLock(key, { lockMs: lifetimeMs }),
    ]) {
      t.regex(await faultText(call()), /^INVALID_ARGUMENT: .*whole number of ms/, String(lifetimeMs));
    }
  }
  t.is(await faultText(cache.load(key)), NOT_FOUND);
  t.truthy(await cache.lock(key, { lockMs: 1 }));
});

test("what is no key, no holder and no value is refused, and so is what is too large", async (t) => {
  const key = freshKey();
  const { cache } = client(0);
  t.is(await faultText(cache.load("")), "INVALID_ARGUMENT: a key is required");
  t.regex(await faultText(cache.save("x".repeat(1025), 1)), /^INVALID_ARGUMENT/);
  t.regex(await faultText(cache.load(key, { holder: "x".repeat(257) })), /^INVALID_ARGUMENT/);
  t.regex(await faultText(cache.save(key, "x".repeat(8 * 2 ** 20))), /^RESOURCE_EXHAUSTED: .*maxCacheValueBytes/);
  t.regex(await faultText(cache.push(key, "x".repeat(20 * 2 ** 20))), /^RESOURCE_EXHAUSTED/);
  t.regex(await faultText(cache.compareAndSet(key, 0.5, 1)), /^INVALID_ARGUMENT/);
  t.regex(await faultText(cache.size("x".repeat(1025))), /^INVALID_ARGUMENT/);
  t.is(await faultText(cache.load(key)), NOT_FOUND);
  const large = Buffer.alloc(8 * 2 ** 20 - 100, 7);
  await cache.save(key, large);
  t.true(large.equals((await client(1).cache.load(key)).value as Buffer));
  await cache.destroy(key);
});

test("keys may have any characters, and hash tags keep keys together", async (t) => {
  const odd = ["}", "}{", "{", "{}", "{}a", "a}b", "}{a}", "{a}b", "é{ü}", " ", "*", "\\", "\u0000", "x".repeat(1024)];
  for (const key of odd) {
    t.true(await client(0).cache.save(key, key), key);
    t.truthy(await client(0).cache.lock(key, { holder: "somebody", lockMs: LONG_MS }), key);
    t.is(await faultText(client(1).cache.load(key)), LOCKED, key);
    t.true(await client(1).cache.unlock(key, { holder: "somebody" }), key);
    t.is((await client(1).cache.load(key)).value, key);
  }
  const found = await Array.fromAsync(client(2).cache.keys());
  for (const key of odd) t.true(found.includes(key), key);
  t.deepEqual(await Array.fromAsync(client(2).cache.keys("\\*")), ["*"]);
  for (const key of odd) t.true(await client(1).cache.destroy(key), key);
});

/** A lock, once whoever has it has lost it. */
async function lockedBy(index: number, key: string, lockMs: number): Promise<CacheLock> {
  const lock = await eventually(() => client(index).cache.lock(key, { lockMs }), { what: "the lock" });
  if (!lock) throw new Error("eventually gave nothing");
  return lock;
}

/** Callers that wait at these nodes. */
async function waitingAt(...indices: number[]): Promise<number> {
  const counts = indices.map((index) => {
    const node = cluster.nodes[index];
    return node ? metricOf(node.coordinator, "gearmesh_cache_waiting") : 0;
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** An empty cache, and then objects and lists in all slots' thirds: 300 objects of which 100 have a lifetime, and 3 lists. */
async function filledCache(): Promise<{ readonly objects: readonly string[]; readonly lists: readonly string[] }> {
  const { cache } = client(0);
  await cache.clear();
  const objects = spreadKeys(300).map((key) => `filled:${key}`);
  await cache.saveMany(new Map(objects.slice(0, 200).map((key) => [key, { key }])));
  await cache.saveMany(new Map(objects.slice(200).map((key) => [key, { key }])), { lifetimeMs: 600_000 });
  const lists = keysInSlots([10, 8000, 16_000], 1).map((key) => `list:{${key}}`);
  for (const key of lists) for (let item = 0; item < 10; item++) await cache.push(key, item);
  return { objects, lists };
}

test.serial(
  "`keys`, `locks`, `size`, `clear(pattern)` -> count, by SCAN: complete, with keys on all shards",
  async (t) => {
    const { objects, lists } = await filledCache();
    const all = [...objects, ...lists].sort();
    for (const { cache } of clients) {
      t.is(await cache.size(), 303);
      t.deepEqual((await Array.fromAsync(cache.keys())).sort(), all);
    }
    t.is(await client(1).cache.size("filled:*"), 300);
    t.deepEqual((await Array.fromAsync(client(2).cache.keys("list:*"))).sort(), [...lists].sort());
    for (const key of objects.slice(0, 30)) await client(0).cache.lock(key, { holder: "locker", lockMs: LONG_MS });
    const held = await Array.fromAsync(client(1).cache.locks("filled:*"));
    t.deepEqual(held.map(({ key }) => key).sort(), objects.slice(0, 30).sort());
    t.true(held.every(({ holder, fencingToken }) => holder === "locker" && fencingToken > 0));
    for (const key of objects.slice(0, 30)) await client(0).cache.unlock(key, { holder: "locker" });
    t.deepEqual(await Array.fromAsync(client(1).cache.locks("filled:*")), []);
    t.is(await client(2).cache.clear("list:*"), 3);
    t.is(await client(1).cache.clear(), 300);
    t.is(await client(0).cache.size(), 0);
    t.is(await client(0).cache.clear(), 0);
  },
);

test.serial("scans say how far they are, and can be cancelled", async (t) => {
  await filledCache();
  const { cache } = client(0);
  const steps: number[] = [];
  await cache.size("", { onProgress: ({ shardsDone, shards }) => steps.push(shardsDone / shards) });
  t.deepEqual(steps.slice(-1), [1]);
  t.true(steps.length >= 3);
  const cancel = new AbortController();
  const counted = await cache.size("", { signal: cancel.signal, onProgress: () => cancel.abort() });
  t.true(counted < 303);
  for await (const key of cache.keys()) {
    t.is(typeof key, "string");
    break;
  }
});

test.serial("`dumpWrite(file)` / `dumpRead(file)` -> count", async (t) => {
  await filledCache();
  const file = join(await directory(t), "dump");
  t.is(await client(0).cache.dumpWrite(file), 303);
  await client(1).cache.clear();
  t.deepEqual(await client(2).cache.dumpRead(file), { restored: 303, expired: 0 });
  t.is(await client(0).cache.size(), 303);
});

test.serial("dumps keep lists and lifetimes, bytes, and when an object was created", async (t) => {
  const { objects, lists } = await filledCache();
  const [list = ""] = lists;
  const { cache } = client(0);
  for (let item = 10; item < 3000; item++) void cache.push(list, item);
  await cache.push(list, Buffer.from([1, 2, 255]));
  await cache.save("bytes", Buffer.from([0, 255]), { lifetimeMs: LONG_MS });
  const before = await cache.loadMany([...objects, "bytes"]);
  const file = join(await directory(t), "dump");
  // Still there when the dump comes to it.
  await cache.save("brief", 1, { lifetimeMs: 5000 });
  t.is(await cache.dumpWrite(file), 305);
  await eventually(async () => (await faultText(cache.load("brief"))) === NOT_FOUND, { what: "its end" });
  await cache.clear();
  await cache.save(list, "something else");
  t.deepEqual(await client(1).cache.dumpRead(file), { restored: 304, expired: 1 });
  const after = await client(2).cache.loadMany([...objects, "bytes"]);
  for (const [key, object] of before) {
    t.deepEqual({ ...after.get(key), readAt: null }, { ...object, readAt: null }, key);
  }
  t.is(await cache.listLength(list), 3001);
  for (let item = 0; item < 3000; item++) if ((await cache.pop(list)) !== item) t.fail(`item ${item}`);
  t.deepEqual(await cache.pop(list), Buffer.from([1, 2, 255]));
});

test.serial("dump and restore as a stream, from one cache into another's order", async (t) => {
  const { objects } = await filledCache();
  const entries: DumpedEntry[] = await Array.fromAsync(client(0).cache.dump("filled:*"));
  t.deepEqual(entries.map(({ key }) => key).sort(), [...objects].sort());
  await client(0).cache.clear();
  t.deepEqual(await client(1).cache.restore(entries.reverse()), { restored: 300, expired: 0 });
  t.is(await client(2).cache.size(), 300);
});

test.serial("a dump that is not whole is refused, and one that was cancelled is not there", async (t) => {
  await filledCache();
  const { cache } = client(0);
  const file = join(await directory(t), "dump");
  const cancel = new AbortController();
  const cancelled = cache.dumpWrite(file, { signal: cancel.signal, onProgress: () => cancel.abort() });
  t.regex(await faultText(cancelled), /^CANCELLED/);
  await t.throwsAsync(readFile(file), { code: "ENOENT" });
  await cache.dumpWrite(file);
  const text = await readFile(file, "utf8");
  await writeFile(file, text.slice(0, text.lastIndexOf("\n", text.length - 2) + 1));
  t.regex(await faultText(cache.dumpRead(file)), /^INVALID_ARGUMENT: .*is not whole/);
  await writeFile(file, "nothing like it\n");
  t.regex(await faultText(cache.dumpRead(file)), /^INVALID_ARGUMENT: .*line 1/);
  const parts: DumpedEntry[] = [
    { key: "part", kind: "list", items: ["1"], isContinued: true },
    { key: "other", kind: "list", items: ["1"], isContinued: false },
  ];
  t.regex(await faultText(cache.restore(parts)), /^INVALID_ARGUMENT: the rest of the list part is missing/);
  t.is(await cache.listLength("part"), 0, "nothing half-written");
});
