import test from "ava";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { Admission } from "../../../src/functions/admission.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { librarySource } from "../../../src/functions/library-version.ts";
import type { Registrations, Run, Sandbox } from "../../../src/functions/sandbox-port.ts";
import { type MethodRequest, ShardRunner } from "../../../src/functions/shard-runner.ts";
import type { Shards } from "../../../src/functions/shards.ts";
import type { Shard, Topology } from "../../../src/topology/topology.ts";
import { shardsWith } from "../../support/shards.ts";

const REGISTRATIONS: Registrations = {
  functions: [],
  remoteFunctions: ["r"],
  rpcMethods: [],
  tasks: [],
  middleware: [],
};
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

interface Given {
  readonly shards?: Partial<Shards>;
  readonly run?: Sandbox["run"];
  readonly isLevel?: () => boolean;
}

function newRunner(level: () => Promise<void>, { shards = {}, run: runs, isLevel = () => true }: Given = {}) {
  const registry = new LibraryRegistry();
  const observed: string[] = [];
  const runner = new ShardRunner({
    registry,
    sandbox: {
      load: async () => REGISTRATIONS,
      unload: () => undefined,
      run: runs ?? (async ({ hash }) => Buffer.from(hash)),
    },
    admission: new Admission({ maxCalls: 1, maxNestedCalls: 1, maxCallDepth: 1 }),
    shards: shardsWith({ topology: () => TOPOLOGY, ...shards }),
    observer: { started: (kind) => observed.push(kind), ended: (kind, code) => observed.push(`${kind} ${code}`) },
    isLevel,
    level,
    faults: NO_FAULTS,
  });
  const run = ({ hash }: { readonly hash: string }) =>
    runner.remote(
      { library: "lib", hash, function: "r", args: [], slot: undefined, asking: false, topologyHash: "" },
      { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 1 },
    );
  const method = (request: Partial<MethodRequest> = {}) =>
    runner.method({ name: "m", args: [], ...request }, { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 0 });
  return { registry, run, method, observed };
}

const NO_NEED = () => Promise.reject(new Error("there is no need"));

/** With the method `m` of a library `lib`. */
function withMethod(given: Given = {}) {
  const runner = newRunner(NO_NEED, given);
  const source = librarySource("lib", "text", "{}");
  runner.registry.adopt(
    { name: "lib", revision: 1, source },
    { ...REGISTRATIONS, rpcMethods: ["m"], tasks: [], middleware: [] },
  );
  const counters = () => runner.registry.method("m")?.counters.of("method", "m");
  return { ...runner, source, counters };
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

test("a method runs as such, observed and counted", async (t) => {
  const runs: Run[] = [];
  const run: Sandbox["run"] = async (one) => {
    runs.push(one);
    return Buffer.from("result");
  };
  const { method, source, observed, counters } = withMethod({ run });
  const args = [Buffer.from("a")];
  t.is(String(await method({ args })), "result");
  t.deepEqual(runs, [{ hash: source.hash, function: "m", kind: "method", args, asking: false }]);
  t.deepEqual(observed, ["method", "method OK"]);
  t.like(counters(), { calls: 1, errors: 0 });
});

test("a method that fails says METHOD_FAILED with its text; whatever else ended it keeps its code", async (t) => {
  for (const [code, expected] of [
    ["FUNCTION_FAILED", "METHOD_FAILED"],
    ["FUNCTION_TIMEOUT", "FUNCTION_TIMEOUT"],
    ["UNAVAILABLE", "UNAVAILABLE"],
    ["MOVED", "MOVED"],
  ] as const) {
    const { method, observed, counters } = withMethod({ run: () => Promise.reject(new Fault(code, "as it is")) });
    t.like(await t.throwsAsync(method()), { code: expected, message: "as it is" });
    t.deepEqual(observed, ["method", `method ${expected}`]);
    t.like(counters(), { calls: 1, errors: 1 });
  }
});

test("without a key a method runs wherever it was asked for, also before Redis was reached and on a coordinator that stands by", async (t) => {
  const shards: Partial<Shards> = {
    topology: () => undefined,
    isActive: () => false,
    objection: () => new Fault("UNAVAILABLE", "not confirmed"),
    confirm: NO_NEED,
  };
  t.is(String(await withMethod({ shards }).method()), withMethod().source.hash);
});

test("by a key it runs only where the slot is, and nobody can tell what it did where that changed meanwhile", async (t) => {
  const owner = (id: string): Shard => ({ id, address: { host: id, port: 1 }, slots: [], epoch: 1 });
  const topology: Topology = { ...TOPOLOGY, ownerOf: (slot) => owner(slot === 1 ? "a" : "b") };
  const shards: Partial<Shards> = { topology: () => topology };
  const { method, source } = withMethod({ shards });
  t.is(String(await method({ slot: 1 })), source.hash);
  t.like(await t.throwsAsync(method({ slot: 2 })), { code: "MOVED", message: "MOVED 2 b:1" });
  t.is(String(await method({ slot: 2, asking: true })), source.hash);
  const standby = withMethod({ shards: { ...shards, isActive: () => false } });
  await t.throwsAsync(standby.method({ slot: 1 }), { code: "UNAVAILABLE", message: /stands by/ });
  const objecting = withMethod({ shards: { ...shards, objection: () => new Fault("UNAVAILABLE", "not confirmed") } });
  t.like(await t.throwsAsync(objecting.method({ slot: 1 })), { code: "UNAVAILABLE", message: "not confirmed" });
  let isActive = true;
  const leaving = withMethod({
    shards: { ...shards, isActive: () => isActive },
    run: async () => {
      isActive = false;
      return Buffer.from("result");
    },
  });
  await t.throwsAsync(leaving.method({ slot: 1 }), {
    code: "INDETERMINATE",
    message: /^the method has run, but then: /,
  });
});

test("that there is no such method is said once it is known", async (t) => {
  t.like(await t.throwsAsync(withMethod().method({ name: "other" })), {
    code: "UNKNOWN_METHOD",
    message: "Unknown method other",
  });
  const source = librarySource("lib", "text", "{}");
  const level = async () => {
    behind.registry.adopt(
      { name: "lib", revision: 1, source },
      { ...REGISTRATIONS, rpcMethods: ["m"], tasks: [], middleware: [] },
    );
  };
  const behind = newRunner(level, { isLevel: () => false });
  t.is(String(await behind.method()), source.hash);
});
