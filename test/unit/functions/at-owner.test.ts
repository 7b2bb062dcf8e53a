import test from "ava";
import type { CallContext } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { atOwner, type Place } from "../../../src/functions/at-owner.ts";
import type { Shards } from "../../../src/functions/shards.ts";
import type { Shard, Topology } from "../../../src/topology/topology.ts";
import { shardsWith } from "../../support/shards.ts";

const SLOT = 7;
const [A, B, C] = ["a", "b", "c"].map(shard) as [Shard, Shard, Shard];

function shard(id: string): Shard {
  return { id, address: { host: id, port: 1 }, slots: [], epoch: 1 };
}

function topology(owner: Shard | undefined): Topology {
  return {
    version: 1,
    hash: "",
    self: "a",
    selfShard: "a",
    ownShard: A,
    shards: [A, B, C],
    replicas: [],
    ownerOf: () => owner,
  };
}

function context(timeoutMs = 10_000, signal = new AbortController().signal): CallContext {
  return { deadline: deadlineIn(timeoutMs), signal, depth: 0 };
}

/** Shards that name whom a MOVED names, and an owner that answers MOVED unless it has the slot. */
function setUp(owner: Shard | undefined, parts: Partial<Shards> = {}) {
  const asked: string[] = [];
  const holder = { now: owner };
  const shards = shardsWith({
    topology: () => topology(owner),
    namedBy: (text) => [A, B, C].find(({ id }) => text.endsWith(` ${id}:1`)),
    ...parts,
  });
  const attempt = async ({ shard: { id } }: Place) => {
    asked.push(id);
    if (id === holder.now?.id) return `from ${id}`;
    throw new Fault("MOVED", `MOVED ${SLOT} ${holder.now?.id}:1`);
  };
  return { shards, asked, holder, attempt };
}

test("the owner is asked, and where it names another one, that one", async (t) => {
  const { shards, asked, holder, attempt } = setUp(A);
  t.is(await atOwner(shards, SLOT, context(), attempt), "from a");
  holder.now = C;
  t.is(await atOwner(shards, SLOT, context(), attempt), "from c");
  t.deepEqual(asked, ["a", "a", "c"]);
});

test("a slot that goes from shard to shard is followed", async (t) => {
  const { shards, asked, holder } = setUp(A);
  const steps = [B, C, A, B, C];
  const attempt = async ({ shard: { id } }: Place) => {
    asked.push(id);
    if (steps.length === 0) return id;
    holder.now = steps.shift();
    throw new Fault("MOVED", `MOVED ${SLOT} ${holder.now?.id}:1`);
  };
  t.is(await atOwner(shards, SLOT, context(), attempt), "c");
  t.deepEqual(asked, ["a", "b", "c", "a", "b", "c"]);
});

/** Whom the call goes to where the ones that are asked answer with these texts, one after the other, and then with a result. */
async function wayOf(...texts: string[]): Promise<readonly string[]> {
  const asked: string[] = [];
  await atOwner(setUp(A).shards, SLOT, context(), async ({ shard: { id }, asking }: Place) => {
    asked.push(asking ? `asking ${id}` : id);
    const text = texts.shift();
    if (text !== undefined) throw new Fault("MOVED", text);
  });
  return asked;
}

test("a slot on its way is asked for where it goes to, and again there until all of its keys have arrived", async (t) => {
  const incomplete = "TRYAGAIN Multiple keys request during rehashing of slot";
  const way = await wayOf(`ASK ${SLOT} b:1`, incomplete, `MOVED ${SLOT} c:1`);
  t.deepEqual(way, ["a", "asking b", "asking b", "c"]);
});

test("whoever an ASK names that the map does not have is not asked: the owner is, once more", async (t) => {
  t.deepEqual(await wayOf(`ASK ${SLOT} z:1`), ["a", "a"]);
});

test("an owner that the map does not have yet is asked once it does", async (t) => {
  let map = topology(A);
  const { shards, asked, holder, attempt } = setUp(A, { topology: () => map, namedBy: () => undefined });
  holder.now = B;
  const answer = atOwner(shards, SLOT, context(), attempt);
  map = topology(B);
  t.is(await answer, "from b");
  t.deepEqual(asked, ["a", "b"]);
});

test("shards that name each other are asked until the deadline, and then MOVED is the answer", async (t) => {
  const { shards, asked } = setUp(A);
  const attempt = async ({ shard: { id } }: Place) => {
    asked.push(id);
    throw new Fault("MOVED", `MOVED ${SLOT} ${id === "a" ? "b" : "a"}:1`);
  };
  const fault = await t.throwsAsync(atOwner(shards, SLOT, context(1000), attempt), { instanceOf: Fault });
  t.is(fault?.code, "MOVED");
  t.true(asked.length >= 2 && asked.length < 500, `${asked.length} attempts`);
});

test("whoever has given up is not followed any further", async (t) => {
  const { shards, asked, holder } = setUp(A);
  holder.now = B;
  const caller = new AbortController();
  const attempt = async ({ shard: { id } }: Place) => {
    asked.push(id);
    caller.abort();
    throw new Fault("MOVED", `MOVED ${SLOT} b:1`);
  };
  await t.throwsAsync(atOwner(shards, SLOT, context(10_000, caller.signal), attempt), { code: "MOVED" });
  t.deepEqual(asked, ["a"]);
});

test("a manual topology follows nobody, and other faults are answers", async (t) => {
  const manual = setUp(A, { followsMoved: false });
  manual.holder.now = B;
  await t.throwsAsync(atOwner(manual.shards, SLOT, context(), manual.attempt), { code: "MOVED" });
  t.deepEqual(manual.asked, ["a"]);
  const { shards, asked } = setUp(A);
  const attempt = async ({ shard: { id } }: Place) => {
    asked.push(id);
    throw new Fault("UNAVAILABLE", "down");
  };
  await t.throwsAsync(atOwner(shards, SLOT, context(), attempt), { code: "UNAVAILABLE" });
  t.deepEqual(asked, ["a"]);
});

test("without a map, and without an owner, nobody is asked", async (t) => {
  const attempt = async () => t.fail();
  const none = shardsWith({ topology: () => undefined });
  await t.throwsAsync(atOwner(none, SLOT, context(), attempt), { message: /not reached its Redis yet/ });
  const orphan = shardsWith({ topology: () => topology(undefined) });
  await t.throwsAsync(atOwner(orphan, SLOT, context(), attempt), { message: "slot 7 has no owner" });
});
