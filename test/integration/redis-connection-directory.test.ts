import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../src/base/clock.ts";
import type { Fault } from "../../src/base/fault.ts";
import { payloadOf } from "../../src/base/json-payload.ts";
import type {
  ConnectionClaim,
  ConnectionDirectory,
  ConnectionRecord,
  Holder,
} from "../../src/connections/connection-directory.ts";
import { newConnectionId } from "../../src/connections/resume-token.ts";
import { connectionDetails } from "../../src/connections/session-codec.ts";
import { RedisConnectionDirectory } from "../../src/redis/connection-directory.ts";
import { formCluster } from "../../src/redis/form-cluster.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { StoreClient } from "../../src/redis/store-client.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { DirectoryLink, MemoryConnectionDirectory } from "../support/memory-connection-directory.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";
import { type LocalRedis, startRedis, startRedises } from "./local-redis.ts";

const A: Holder = { nodeId: "node-a", runId: "run-a" };
const B: Holder = { nodeId: "node-b", runId: "run-b" };
const LONG = { leaseMs: 60_000, graceMs: 60_000 };

interface Times {
  readonly leaseMs: number;
  readonly graceMs: number;
}

/** Directories of some times, as two nodes reach the same one. */
type Make = (times: Times) => readonly [ConnectionDirectory, ConnectionDirectory];

function recordOf(id: string, holder: Holder, tokenHash: string, auth: unknown = true): ConnectionRecord {
  const details = {
    ...connectionDetails.decode(new Uint8Array()),
    id,
    type: "game",
    fingerprint: "ü\0",
    connectedAtMs: 2 ** 41,
    rooms: ["lobby", "a}b{c"],
    attributes: new Map([["auth", payloadOf(auth)]]),
    params: new Map([["raw", payloadOf(Uint8Array.of(0, 255, 10, 13))]]),
    node: holder.nodeId,
  };
  return { holder, tokenHash, details };
}

function claimOf(id: string, holder: Holder, tokenHash: string): ConnectionClaim {
  return { connectionId: id, ...recordOf(id, holder, tokenHash) };
}

/** What every directory must be. */
const ASSERTIONS: Record<string, (t: ExecutionContext, make: Make) => Promise<void>> = {
  async "a record is the same for every node"(t, make) {
    const [first, second] = make(LONG);
    const id = newConnectionId();
    for (const directory of [first, second]) t.is(await directory.find(id), undefined);
    const record = recordOf(id, A, "t1");
    t.true(await first.put(record));
    for (const directory of [first, second]) t.deepEqual(await directory.find(id), { record, isLeased: true });
    const changed = recordOf(id, A, "t1", false);
    t.true(await first.put(changed));
    t.deepEqual(await second.find(id), { record: changed, isLeased: true });
  },

  async "nobody writes, renews or removes what another one holds"(t, make) {
    const [first, second] = make(LONG);
    const id = newConnectionId();
    const record = recordOf(id, A, "t1");
    await first.put(record);
    t.false(await second.put(recordOf(id, B, "t1", "other")));
    t.is(await second.renew(id, B), "taken");
    await second.remove(id, B.runId, "t1");
    await first.remove(id, A.runId, "t0");
    t.deepEqual(await second.find(id), { record, isLeased: true });
    t.is(await first.renew(id, A), "renewed");
    await first.remove(id, A.runId, "t1");
    t.is(await second.find(id), undefined);
    t.is(await first.renew(id, A), "missing");
    await first.remove(id, A.runId, "t1");
  },

  async "a write keeps the token that is there, whichever it names"(t, make) {
    const [first] = make(LONG);
    const id = newConnectionId();
    await first.put(recordOf(id, A, "t1"));
    t.truthy(await first.claim("t1", claimOf(id, A, "t2")));
    t.true(await first.put(recordOf(id, A, "t1", "later")));
    t.deepEqual(await first.find(id), { record: recordOf(id, A, "t2", "later"), isLeased: true });
    await first.remove(id, A.runId, "t1");
    t.truthy(await first.find(id));
  },

  async "a token works once, and takes the record from whoever holds it"(t, make) {
    const [first, second] = make(LONG);
    const id = newConnectionId();
    t.is(await first.claim("t1", claimOf(id, A, "t2")), undefined);
    t.is(await first.find(id), undefined);
    await first.put(recordOf(id, A, "t1"));
    const claims = Array.from({ length: 10 }, (_, i) =>
      (i % 2 ? first : second).claim("t1", claimOf(id, B, `by ${i}`)),
    );
    const won = await Promise.all(claims);
    t.is(won.filter(Boolean).length, 1);
    const record = recordOf(id, B, `by ${won.findIndex(Boolean)}`);
    t.deepEqual(await first.find(id), { record, isLeased: true });
    t.is(await first.renew(id, A), "taken");
    t.false(await first.put(recordOf(id, A, "t1")));
    t.is(await second.renew(id, B), "renewed");
  },

  async "a claim that names no details keeps the newest, and tells them"(t, make) {
    const [first, second] = make(LONG);
    const id = newConnectionId();
    await first.put(recordOf(id, A, "t1", "older"));
    const found = await second.find(id);
    t.true(await first.put(recordOf(id, A, "t1", "newer")));
    const { details } = recordOf(id, A, "t1", "newer");
    t.deepEqual(await second.claim("t1", { ...claimOf(id, B, "t2"), details: undefined }), details);
    t.deepEqual(await first.find(id), { record: { holder: B, tokenHash: "t2", details }, isLeased: true });
    t.notDeepEqual(found?.record.details, details);
  },

  async "a holder's renewal tells where it is now"(t, make) {
    const [first] = make(LONG);
    const id = newConnectionId();
    await first.put(recordOf(id, A, "t1"));
    t.is(await first.renew(id, { ...A, nodeId: "promoted" }), "renewed");
    t.deepEqual((await first.find(id))?.record.holder, { ...A, nodeId: "promoted" });
  },

  async "a lease that is not renewed ends, and the record with the grace time"(t, make) {
    // What follows the end of the first lease has as long as the next one lasts, on a slow machine, too.
    const [first, second] = make({ leaseMs: 2500, graceMs: 5000 });
    const [id, kept, written, claimed] = [1, 2, 3, 4].map(newConnectionId) as [string, string, string, string];
    for (const each of [id, kept, written, claimed]) await first.put(recordOf(each, A, "t1"));
    t.true((await second.find(id))?.isLeased);
    const unleased = async () => {
      const found = await second.find(id);
      return found?.isLeased === false && found;
    };
    t.like(await eventually(unleased, { what: "the end of the lease" }), {
      record: recordOf(id, A, "t1"),
      isLeased: false,
    });
    // Each of them begins the lease anew.
    t.is(await first.renew(kept, A), "renewed");
    t.true(await first.put(recordOf(written, A, "t1")));
    t.truthy(await second.claim("t1", claimOf(claimed, B, "t2")));
    for (const each of [kept, written, claimed]) t.true((await second.find(each))?.isLeased);
    await eventually(async () => (await second.find(id)) === undefined, { what: "the end of the record" });
    t.is(await second.claim("t1", claimOf(id, B, "t2")), undefined);
    t.is(await first.renew(id, A), "missing");
    for (const each of [kept, written, claimed]) t.false((await second.find(each))?.isLeased);
  },
};

function beside(redis: LocalRedis, times: Times, t: ExecutionContext): RedisConnectionDirectory {
  const client = new StoreClient(redis, () => undefined);
  t.teardown(() => client.close());
  return new RedisConnectionDirectory(client, { namespace: "test", ...times });
}

async function ask(node: LocalRedis, ...command: string[]): Promise<string> {
  const connection = new RespConnection(node, { name: "gearmesh:test" });
  try {
    connection.connect();
    await connection.whenReady();
    return String(await connection.command(command));
  } finally {
    connection.close();
  }
}

let cluster: Awaited<ReturnType<typeof startRedises>>;

test.before(async () => {
  cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
});

test.after.always(() => cluster?.[Symbol.asyncDispose]());

for (const [what, holds] of Object.entries(ASSERTIONS)) {
  test(`in Redis: ${what}`, (t) =>
    holds(t, (times) => {
      const [first, second] = cluster.nodes;
      if (!first || !second) throw new Error("no cluster");
      return [beside(first, times, t), beside(second, times, t)];
    }));
  test(`in memory: ${what}`, (t) =>
    holds(t, (times) => {
      const directory = new MemoryConnectionDirectory(systemClock, times);
      return [new DirectoryLink(directory), new DirectoryLink(directory)];
    }));
}

test("records are spread over the shards, and expire by themselves", async (t) => {
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  const directory = beside(node, { leaseMs: 10_000, graceMs: 10_000 }, t);
  const before = await Promise.all(cluster.nodes.map((each) => ask(each, "DBSIZE").then(Number)));
  for (let i = 0; i < 60; i++) await directory.put(recordOf(newConnectionId(), A, "t1"));
  const after = await Promise.all(cluster.nodes.map((each) => ask(each, "DBSIZE").then(Number)));
  for (const [index, count] of after.entries()) t.true(count > (before[index] ?? 0), `shard ${index}`);
});

test("a claim whose answer is lost is told by what is there, and otherwise nobody knows", async (t) => {
  await using redis = await startRedis();
  await using proxy = await startTcpProxy(redis.port);
  const id = newConnectionId();
  const direct = beside(redis, LONG, t);
  await direct.put(recordOf(id, A, "t1"));
  const distant = beside({ ...redis, port: proxy.port }, LONG, t);
  await distant.find(id);
  // Redis knows the script from now on; an unknown one does not run.
  t.is(await direct.claim("another", claimOf(id, B, "t0")), undefined);
  const claimThatIsCut = async (token: string, mend: () => void): Promise<string | undefined> => {
    const outcome = distant.claim("t1", claimOf(id, B, token)).then(
      (details) => details?.id,
      (fault: Fault) => fault.code,
    );
    await eventually(() => proxy.recorded().includes(token), { what: "the claim on its way" });
    proxy.refuse();
    mend();
    return outcome;
  };
  redis.process.kill("SIGSTOP");
  const unknown = await claimThatIsCut("t2", () => undefined);
  t.is(unknown, "INDETERMINATE");
  redis.process.kill("SIGCONT");
  await eventually(async () => (await direct.find(id))?.record.tokenHash === "t2", { what: "the claim" });
  await direct.remove(id, B.runId, "t2");
  await direct.put(recordOf(id, A, "t1"));
  proxy.mend();
  await eventually(() => distant.find(id), { what: "the way to Redis" });
  redis.process.kill("SIGSTOP");
  const known = await claimThatIsCut("t3", () => {
    proxy.mend();
    redis.process.kill("SIGCONT");
  });
  t.is(known, id);
  await direct.remove(id, B.runId, "t3");
  await direct.put(recordOf(id, A, "t1"));
  // It stays with the proxy.
  proxy.stall();
  const claiming = faultOf(distant.claim("t1", claimOf(id, B, "t4")));
  await delay(50);
  proxy.refuse();
  proxy.mend();
  t.is((await claiming).code, "UNAVAILABLE");
  t.is((await direct.find(id))?.record.tokenHash, "t1");
});

test("a directory that is away says whether it happened", async (t) => {
  await using redis = await startRedis();
  const directory = beside(redis, LONG, t);
  const id = newConnectionId();
  await directory.put(recordOf(id, A, "t1"));
  redis.process.kill("SIGSTOP");
  const [writing, reading] = [faultOf(directory.put(recordOf(id, A, "t1"))), faultOf(directory.find(id))];
  t.is((await writing).code, "INDETERMINATE");
  t.true(["UNAVAILABLE", "INDETERMINATE"].includes((await reading).code));
  redis.process.kill("SIGKILL");
  await eventually(async () => (await faultOf(directory.find(id))).code === "UNAVAILABLE", {
    what: "refused connection",
  });
  t.is((await faultOf(directory.put(recordOf(id, A, "t1")))).code, "UNAVAILABLE");
  t.is((await faultOf(directory.claim("t1", claimOf(id, A, "t2")))).code, "UNAVAILABLE");
});
