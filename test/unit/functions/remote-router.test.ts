import test from "ava";
import type { CallContext } from "../../../src/base/call-context.ts";
import { deadlineIn, remainingMs } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { encodeRunRemoteResponse } from "../../../src/functions/remote-codec.ts";
import { RemoteRouter } from "../../../src/functions/remote-router.ts";
import type { ShardRunner } from "../../../src/functions/shard-runner.ts";
import type { Shards } from "../../../src/functions/shards.ts";
import { SlotMap } from "../../../src/topology/slot-map.ts";
import { faultOf } from "../../support/fault-of.ts";
import { shardsWith } from "../../support/shards.ts";

const A = { id: "a", address: { host: "h", port: 1 }, slots: [{ start: 0, end: 99 }], epoch: 1 };
const B = { id: "b", address: { host: "h", port: 2 }, slots: [{ start: 100, end: 199 }], epoch: 2 };
const EMPTY = { id: "c", address: { host: "h", port: 3 }, slots: [], epoch: 0 };
const PAYLOAD = Buffer.from("p");

const mapOf = (version: number, epoch = 1) =>
  SlotMap.from({ self: "a", selfShard: "a", shards: [{ ...A, epoch }, B, EMPTY], replicas: [] }, version);

/** Two shards, the other one behind a link; `answer` says at each attempt what that one knows. */
function setUp(answer: (attempt: number) => boolean, changes: readonly SlotMap[] = []) {
  let map = mapOf(1);
  let attempts = 0;
  const registry = { pinned: () => undefined } as unknown as LibraryRegistry;
  const runner = { remote: async () => PAYLOAD } as unknown as ShardRunner;
  const shards = shardsWith({
    topology: () => map,
    peer: () => ({
      async request() {
        const topologyDiffers = answer(attempts);
        map = changes[attempts] ?? map;
        attempts++;
        return encodeRunRemoteResponse({ payload: PAYLOAD, topologyDiffers });
      },
    }),
  });
  const router = new RemoteRouter({ registry, runner, shards, remoteTimeoutMs: 10_000 });
  const run = (rerunOnChange: boolean, timeoutMs = 10_000) => {
    const context: CallContext = { deadline: deadlineIn(timeoutMs), signal: new AbortController().signal, depth: 0 };
    return router.runOnShards({
      hash: "",
      context,
      remoteFunction: "f",
      timeoutMs: undefined,
      rerunOnChange,
      args: [],
    });
  };
  return { run, attempts: () => attempts };
}

test("the reply names the masters that own slots, and the version of the map", async (t) => {
  const { run } = setUp(() => false);
  const { snapshot, outcomes } = await run(false);
  t.deepEqual(snapshot, { version: 1, masters: ["h:1", "h:2"], hasChanged: false });
  t.is(outcomes.length, 2);
});

for (const [what, scene] of [
  ["a shard knows another topology", () => setUp((attempt) => attempt < 2)],
  ["the coordinator learns of another one", () => setUp(() => false, [mapOf(2, 5), mapOf(3, 6)])],
] as const) {
  test(`${what}: it is said, and where it should, the call is made anew until it does no more`, async (t) => {
    t.true((await scene().run(false)).snapshot.hasChanged);
    const { run, attempts } = scene();
    t.false((await run(true)).snapshot.hasChanged);
    t.is(attempts(), 3);
  });
}

test("a topology that does not settle ends with the call's time", async (t) => {
  const { run, attempts } = setUp(() => true);
  t.true((await run(true, 1000)).snapshot.hasChanged);
  t.true(attempts() > 1);
});

test("a shard without a link is an error beside the others' results", async (t) => {
  const { run } = setUp(() => {
    throw new Fault("UNAVAILABLE", "gone");
  });
  const { outcomes, snapshot } = await run(false);
  t.deepEqual(outcomes[1], { ok: false, error: "shard h:2: gone" });
  t.false(snapshot.hasChanged);
});

/** The other shard's coordinator is restarted, and back after a while. */
function restarted(backInMs: number) {
  const timeoutsMs: number[] = [];
  const peer = {
    async request(_what: unknown, _body: unknown, { deadline }: CallContext) {
      timeoutsMs.push(remainingMs(deadline));
      return encodeRunRemoteResponse({ payload: PAYLOAD, topologyDiffers: false });
    },
  };
  const shards = shardsWith({
    topology: () => mapOf(1),
    slotOf: () => 150,
    async whenBack(_nodeId, { deadline }) {
      const waitMs = Math.min(backInMs, remainingMs(deadline));
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      if (waitMs < backInMs) throw new Fault("UNAVAILABLE", "it is not back yet");
      shards.peer = () => peer;
      return peer;
    },
  }) as { -readonly [K in keyof Shards]: Shards[K] };
  const registry = { pinned: () => undefined } as unknown as LibraryRegistry;
  const runner = { remote: async () => PAYLOAD } as unknown as ShardRunner;
  const router = new RemoteRouter({ registry, runner, shards, remoteTimeoutMs: 100 });
  const callFor = (timeoutMs: number | undefined) => ({
    hash: "",
    context: { deadline: deadlineIn(10_000), signal: new AbortController().signal, depth: 0 },
    remoteFunction: "f",
    timeoutMs,
    rerunOnChange: false,
    args: [],
  });
  return { router, callFor, timeoutsMs };
}

test("the time that every remote call has begins once the shard's coordinator is back, and one of its own at once", async (t) => {
  const byKey = restarted(300);
  await byKey.router.runOnKey(byKey.callFor(undefined), Buffer.from("k"));
  const everywhere = restarted(300);
  const { outcomes } = await everywhere.router.runOnShards(everywhere.callFor(undefined));
  t.true(outcomes.every(({ ok }) => ok));
  for (const leftMs of [...byKey.timeoutsMs, ...everywhere.timeoutsMs]) t.true(leftMs > 0 && leftMs <= 100);
  const short = restarted(300);
  t.is((await faultOf(short.router.runOnKey(short.callFor(50), Buffer.from("k")))).code, "UNAVAILABLE");
  t.deepEqual(short.timeoutsMs, []);
});
