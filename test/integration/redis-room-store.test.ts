import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { Fault } from "../../src/base/fault.ts";
import { formCluster } from "../../src/redis/form-cluster.ts";
import { slotOf } from "../../src/redis/key-slot.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { RedisRoomStore, type RoomStoreLimits } from "../../src/redis/room-store.ts";
import { StoreClient } from "../../src/redis/store-client.ts";
import { memberDigest } from "../../src/rooms/member-digest.ts";
import type { RoomSelf } from "../../src/rooms/room-store.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalRedis, startRedis, startRedises } from "./local-redis.ts";

const LEASE_MS = 60_000;
const SHORT_LEASE_MS = 100;
const NOBODY = { undecided: new Set<string>() };

const [one, two] = [1, 2].map((n): RoomSelf => ({ runId: `run-${n}`, nodeId: `node-${n}`, name: `gearmesh-${n}` })) as [
  RoomSelf,
  RoomSelf,
];

function storeBeside(redis: LocalRedis, leaseMs = LEASE_MS, limits: Partial<RoomStoreLimits> = {}) {
  const client = new StoreClient(redis, () => undefined);
  return {
    rooms: new RedisRoomStore(client, "test", leaseMs, limits),
    [Symbol.asyncDispose]: () => client.close(),
  };
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

function digestOf(...ids: string[]): number {
  return ids.reduce(memberDigest, 0);
}

test("a room and its members are the same from every node of the cluster", async (t) => {
  await using cluster = await startRedises(3, { cluster: true });
  await formCluster(cluster.nodes);
  const stores = cluster.nodes.map((node) => storeBeside(node));
  t.teardown(() => Promise.all(stores.map((store) => store[Symbol.asyncDispose]())));
  const [first, second, third] = stores.map(({ rooms }) => rooms) as [RedisRoomStore, RedisRoomStore, RedisRoomStore];
  const names = ["lobby", "ü {}", "a}b{c", "x".repeat(256)];
  for (const room of names) {
    t.is(await first.add(room), "added");
    t.is(await second.add(room), "exists");
    t.true(await third.exists(room));
    const joined = await first.join(room, "a", one);
    t.is(joined?.outcome, "joined");
    t.is((await second.join(room, "b", two))?.outcome, "joined");
    const status = await third.status(room);
    t.is(status?.count, 2);
    t.is(status?.incarnation, joined?.incarnation);
    t.deepEqual(status?.members.get("a"), { joinedAtMs: joined?.joinedAtMs ?? 0, node: "gearmesh-1" });
    const { holders = [], isMember } = (await third.audience(room, "a")) ?? {};
    t.true(isMember);
    t.deepEqual(
      [...holders].sort((x, y) => (x.runId < y.runId ? -1 : 1)),
      [one, two].map(({ runId, nodeId }) => ({ runId, nodeId })),
    );
    t.false((await third.audience(room, "c"))?.isMember);
  }
  t.deepEqual([...(await second.list())].sort(), [...names].sort());
  const destroyed = await third.destroy("lobby");
  t.is(destroyed?.members, 2);
  t.is(destroyed?.holders.length, 2);
  t.is(await first.destroy("lobby"), undefined);
  t.false(await first.exists("lobby"));
  t.deepEqual([...(await first.list())].sort(), names.slice(1).sort());
});

test("what is asked of a room that is not there says so", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { rooms } = store;
  t.is(await rooms.status("r"), undefined);
  t.is(await rooms.watch("r", one), undefined);
  t.is(await rooms.join("r", "a", one), undefined);
  t.is(await rooms.leave("r", "a"), undefined);
  t.is(await rooms.audience("r", undefined), undefined);
  t.is(await rooms.renew("r", "", one, 0), "gone");
  t.is(await rooms.restore("r", "", one, { members: new Map(), ...NOBODY }), undefined);
  t.is(await ask(redis, "DBSIZE"), "0");
});

test("a member is one once, and its holder changes with its connection", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { rooms } = store;
  await rooms.add("r");
  const joined = await rooms.join("r", "a", one);
  t.like(await rooms.join("r", "a", one), { outcome: "already", joinedAtMs: joined?.joinedAtMs ?? 0 });
  t.like(await rooms.join("r", "a", two), { outcome: "already", joinedAtMs: joined?.joinedAtMs ?? 0 });
  t.deepEqual((await rooms.audience("r", undefined))?.holders, [{ runId: two.runId, nodeId: two.nodeId }]);
  const revisions = [(await rooms.audience("r", "a"))?.revision];
  await rooms.join("r", "a", two);
  revisions.push((await rooms.audience("r", "a"))?.revision);
  t.deepEqual(revisions, [2, 2], "one for each holder");
  t.like(await rooms.leave("r", "a"), { wasMember: true });
  t.like(await rooms.leave("r", "a"), { wasMember: false });
  t.deepEqual((await rooms.audience("r", undefined))?.holders, []);
  t.true(await rooms.exists("r"));
});

test("the members of a holder are gone with its lease, whatever is asked, and those of others stay", async (t) => {
  await using redis = await startRedis();
  await using brief = storeBeside(redis, SHORT_LEASE_MS);
  await using lasting = storeBeside(redis);
  for (const room of ["status", "audience", "leave", "destroy", "join", "last"]) {
    await lasting.rooms.add(room);
    await brief.rooms.join(room, "a", one);
    await lasting.rooms.join(room, "b", two);
  }
  await eventually(async () => (await lasting.rooms.status("last"))?.count === 1, { what: "the end of the lease" });
  t.deepEqual([...((await lasting.rooms.status("status"))?.members.keys() ?? [])], ["b"]);
  t.deepEqual((await lasting.rooms.audience("audience", "a"))?.isMember, false);
  t.is((await lasting.rooms.leave("leave", "a"))?.wasMember, false);
  t.is((await lasting.rooms.destroy("destroy"))?.members, 1);
  t.is((await lasting.rooms.join("join", "a", two))?.outcome, "joined");
});

test("a holder that renews keeps its members, and learns where they differ from its own", async (t) => {
  await using redis = await startRedis();
  // Long enough for the renewal, on a slow machine, too.
  await using brief = storeBeside(redis, 2000);
  await using lasting = storeBeside(redis);
  const { rooms } = lasting;
  await rooms.add("r");
  const { incarnation = "" } = (await brief.rooms.join("r", "a", one)) ?? {};
  t.is(await rooms.renew("r", incarnation, one, digestOf("a")), "renewed");
  await brief.rooms.join("r", "c", two);
  const members = async () => [...((await rooms.status("r"))?.members.keys() ?? [])];
  await eventually(async () => !(await members()).includes("c"), { what: "the end of a lease that is not renewed" });
  t.deepEqual(await members(), ["a"]);
  await rooms.join("r", "b", one);
  t.is(await rooms.renew("r", incarnation, one, digestOf("a")), "differs");
  t.is(await rooms.renew("r", incarnation, one, digestOf("b", "a")), "renewed");
  t.is(await rooms.renew("r", "another", one, digestOf("a", "b")), "gone");
  await rooms.leave("r", "a");
  t.is(await rooms.renew("r", incarnation, one, digestOf("b")), "renewed");
  t.is(await rooms.renew("r", incarnation, two, 0), "differs");
});

test("a holder restores what was lost, and leaves alone what is another's or undecided", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { rooms } = store;
  await rooms.add("r");
  const { incarnation = "" } = (await rooms.join("r", "stale", one)) ?? {};
  await rooms.join("r", "leaving", one);
  await rooms.join("r", "elsewhere", two);
  const members = new Map([
    ["lost", { joinedAtMs: 5, sinceRevision: 9 }],
    ["elsewhere", { joinedAtMs: 6, sinceRevision: 0 }],
    ["joining", { joinedAtMs: 7, sinceRevision: 0 }],
  ]);
  const undecided = new Set(["leaving", "joining"]);
  t.deepEqual(await rooms.restore("r", incarnation, one, { members, undecided }), []);
  t.deepEqual([...((await rooms.status("r"))?.members ?? [])].map(([id, { node }]) => `${id} ${node}`).sort(), [
    "elsewhere gearmesh-2",
    "leaving gearmesh-1",
    "lost gearmesh-1",
  ]);
  t.is((await rooms.status("r"))?.members.get("lost")?.joinedAtMs, 5);
  t.is((await rooms.audience("r", undefined))?.revision, 9);
  t.is(await rooms.renew("r", incarnation, one, digestOf("lost", "leaving")), "renewed");
  t.is(await rooms.renew("r", incarnation, two, digestOf("elsewhere")), "renewed");
  await rooms.destroy("r");
  await rooms.add("r");
  t.is(await rooms.restore("r", incarnation, one, { members, undecided }), undefined);
  t.is((await rooms.status("r"))?.count, 0);
});

test("those who watch are told of to those who change, until their lease is over", async (t) => {
  await using redis = await startRedis();
  await using brief = storeBeside(redis, SHORT_LEASE_MS);
  await using store = storeBeside(redis);
  const { rooms } = store;
  await rooms.add("r");
  t.is((await rooms.watch("r", one))?.count, 0);
  t.deepEqual((await rooms.join("r", "a", two))?.watchers, [one.nodeId]);
  await brief.rooms.watch("r", one);
  await eventually(async () => (await rooms.join("r", "a", two))?.watchers.length === 0, { what: "an end" });
  await rooms.watch("r", two);
  t.deepEqual((await rooms.leave("r", "a"))?.watchers, [two.nodeId]);
  t.deepEqual((await rooms.destroy("r"))?.watchers, [two.nodeId]);
});

test("rooms, members and what is shown of them are bounded", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis, LEASE_MS, { maxRooms: 2, maxMembers: 200, shownMembers: 10 });
  const { rooms } = store;
  t.is(await rooms.add("r1"), "added");
  t.is(await rooms.add("r2"), "added");
  t.is(await rooms.add("r3"), "full");
  t.is(await rooms.add("r2"), "exists");
  for (let i = 0; i < 200; i++) t.is((await rooms.join("r1", `c${i}`, one))?.outcome, "joined");
  t.is((await rooms.join("r1", "c200", one))?.outcome, "full");
  t.is((await rooms.join("r1", "c0", one))?.outcome, "already");
  const status = await rooms.status("r1");
  t.is(status?.count, 200);
  t.is(status?.members.size, 10);
});

test("of a room with many members as many are shown as may be, however they lie in its hash", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis, LEASE_MS, { maxRooms: 20, maxMembers: 150, shownMembers: 10 });
  const { rooms } = store;
  for (let room = 0; room < 20; room++) {
    await rooms.add(`r${room}`);
    await Promise.all(Array.from({ length: 150 }, (_, member) => rooms.join(`r${room}`, `c${member}`, one)));
    t.is((await rooms.status(`r${room}`))?.members.size, 10);
  }
});

test("names that have no room are forgotten by the list, and a room without its name is found by adding it", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  await ask(redis, "SADD", "test:{rooms}", "half");
  t.deepEqual(await store.rooms.list(), []);
  t.is(await ask(redis, "SCARD", "test:{rooms}"), "0");
  await store.rooms.add("r");
  await ask(redis, "SREM", "test:{rooms}", "r");
  t.is(await store.rooms.add("r"), "exists");
  t.deepEqual(await store.rooms.list(), ["r"]);
});

test("adding and destroying at the same time leaves no room without its name", async (t) => {
  await using redis = await startRedis();
  const opened = Array.from({ length: 4 }, () => storeBeside(redis));
  t.teardown(() => Promise.all(opened.map((store) => store[Symbol.asyncDispose]())));
  const stores = opened.map(({ rooms }) => rooms);
  for (let round = 0; round < 50; round++) {
    await Promise.all(stores.map((rooms, i) => ((i + round) % 2 === 0 ? rooms.add("r") : rooms.destroy("r"))));
    const isThere = await stores[0]?.exists("r");
    t.deepEqual(await stores[1]?.list(), isThere ? ["r"] : []);
  }
});

test("scripts that Redis has forgotten are sent again", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  await store.rooms.add("r");
  await ask(redis, "SCRIPT", "FLUSH");
  t.is((await store.rooms.join("r", "a", one))?.outcome, "joined");
});

test("a room is found while and after its slot moves, also an empty one", async (t) => {
  await using cluster = await startRedises(2, { cluster: true });
  await formCluster(cluster.nodes);
  const [source, target] = cluster.nodes as [LocalRedis, LocalRedis];
  const room = Array.from({ length: 100 }, (_, i) => `r${i}`).find((name) => slotOf(Buffer.from(name)) < 8000) ?? "";
  const slot = String(slotOf(Buffer.from(room)));
  await using store = storeBeside(source);
  const { rooms } = store;
  await rooms.add(room);
  const [sourceId = "", targetId = ""] = await Promise.all(
    [source, target].map((node) => ask(node, "CLUSTER", "MYID")),
  );
  await ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", sourceId);
  await ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", targetId);
  t.is((await rooms.join(room, "a", one))?.outcome, "joined");
  await ask(source, "MIGRATE", target.host, String(target.port), `test:room:{${room}}`, "0", "20000");
  t.is((await rooms.join(room, "b", one))?.outcome, "joined");
  for (const node of [target, source]) await ask(node, "CLUSTER", "SETSLOT", slot, "NODE", targetId);
  t.is((await rooms.status(room))?.count, 2);
});

test("a store that is away is unavailable, and what may have happened is indeterminate", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  await store.rooms.add("r");
  redis.process.kill("SIGSTOP");
  const codes = await Promise.all(
    [store.rooms.join("r", "a", one), store.rooms.audience("r", undefined), store.rooms.status("r")].map((asked) =>
      asked.then(
        () => "OK",
        (thrown: unknown) => Fault.from(thrown).code,
      ),
    ),
  );
  t.deepEqual(codes, ["INDETERMINATE", "UNAVAILABLE", "UNAVAILABLE"]);
});

const anyMember = fc.constantFrom("a", "b", "c", "d");
const anyHolder = fc.constantFrom(one, two);
const anyStep = fc.oneof(
  fc.record({ kind: fc.constant("join" as const), id: anyMember, self: anyHolder }),
  fc.record({ kind: fc.constant("leave" as const), id: anyMember, self: anyHolder }),
  fc.record({ kind: fc.constant("restore" as const), held: fc.uniqueArray(anyMember), self: anyHolder }),
);

test("a room's members are those of a model, whatever is done", async (t) => {
  await using redis = await startRedis();
  await using store = storeBeside(redis);
  const { rooms } = store;
  let runs = 0;
  const property = fc.asyncProperty(fc.array(anyStep, { maxLength: 30 }), async (steps) => {
    const room = `r${runs++}`;
    await rooms.add(room);
    const incarnation = (await rooms.status(room))?.incarnation ?? "";
    /** Run id of each member's holder. */
    const model = new Map<string, string>();
    for (const step of steps) {
      const { runId } = step.self;
      if (step.kind === "join") {
        const outcome = model.has(step.id) ? "already" : "joined";
        t.is((await rooms.join(room, step.id, step.self))?.outcome, outcome);
        model.set(step.id, runId);
      } else if (step.kind === "leave") {
        t.is((await rooms.leave(room, step.id))?.wasMember, model.delete(step.id));
      } else {
        const members = new Map(step.held.map((id) => [id as string, { joinedAtMs: 1, sinceRevision: 0 }]));
        await rooms.restore(room, incarnation, step.self, { members, ...NOBODY });
        for (const [id, holder] of model) if (holder === runId && !members.has(id)) model.delete(id);
        for (const id of step.held) if (!model.has(id)) model.set(id, runId);
      }
      t.deepEqual([...((await rooms.status(room))?.members.keys() ?? [])].sort(), [...model.keys()].sort());
      const holders = (await rooms.audience(room, undefined))?.holders.map((holder) => holder.runId) ?? [];
      t.deepEqual(holders.sort(), [...new Set(model.values())].sort());
      for (const self of [one, two]) {
        const held = [...model].filter(([, holder]) => holder === self.runId).map(([id]) => id);
        if (held.length > 0) t.is(await rooms.renew(room, incarnation, self, digestOf(...held)), "renewed");
      }
    }
  });
  await fc.assert(property, { numRuns: 60 });
});
