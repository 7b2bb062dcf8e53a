import test from "ava";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { Admission } from "../../../src/functions/admission.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { librarySource } from "../../../src/functions/library-version.ts";
import type { Registrations } from "../../../src/functions/sandbox-port.ts";
import { ShardRunner } from "../../../src/functions/shard-runner.ts";
import type { Topology } from "../../../src/topology/topology.ts";
import { shardsWith } from "../../support/shards.ts";

const REGISTRATIONS: Registrations = { functions: [], remoteFunctions: ["r"] };
const TOPOLOGY: Topology = {
  version: 1,
  hash: "",
  self: "a",
  selfShard: "a",
  ownShard: undefined,
  shards: [],
  replicas: [],
  ownerOf: () => undefined,
};

function newRunner(level: () => Promise<void>) {
  const registry = new LibraryRegistry();
  const runner = new ShardRunner({
    registry,
    sandbox: {
      load: async () => REGISTRATIONS,
      unload: () => undefined,
      run: async ({ hash }) => Buffer.from(hash),
    },
    admission: new Admission({ maxCalls: 1, maxNestedCalls: 1, maxCallDepth: 1 }),
    shards: shardsWith({ topology: () => TOPOLOGY }),
    observer: { started: () => undefined, ended: () => undefined },
    isLevel: () => true,
    level,
    faults: NO_FAULTS,
  });
  const run = ({ hash }: { readonly hash: string }) =>
    runner.remote(
      { library: "lib", hash, function: "r", args: [], slot: undefined, asking: false, topologyHash: "" },
      { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 1 },
    );
  return { registry, run };
}

test("a peer's run of a version that is only prepared here is run at once, and what is newest is asked for once", async (t) => {
  let levellings = 0;
  const { registry, run } = newRunner(async () => {
    levellings++;
    throw new Fault("UNAVAILABLE", "the record is away");
  });
  const prepared = librarySource("lib", "prepared", "{}");
  registry.prepare(prepared, REGISTRATIONS);
  t.is(String(await run(prepared)), prepared.hash);
  t.is(String(await run(prepared)), prepared.hash);
  t.is(levellings, 1);
  t.is(registry.library("lib"), undefined, "it is served to nobody else");
});

test("a version that a newer one overtook is still found by those that began on it elsewhere", async (t) => {
  const { registry, run } = newRunner(() => Promise.reject(new Error("there is no need")));
  const [older, newer] = [librarySource("lib", "older", "{}"), librarySource("lib", "newer", "{}")];
  for (const source of [older, newer]) registry.prepare(source, REGISTRATIONS);
  registry.adopt({ name: "lib", revision: 3, source: newer }, REGISTRATIONS);
  registry.adopt({ name: "lib", revision: 2, source: older }, REGISTRATIONS);
  // Its levelling fails, which is nobody's business.
  t.is(String(await run(older)), older.hash);
  t.is(registry.library("lib")?.source, newer);
});
