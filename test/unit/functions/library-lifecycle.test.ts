import { mock } from "node:test";
import test from "ava";
import type { CallContext } from "../../../src/base/call-context.ts";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryCommit } from "../../../src/functions/library-commit.ts";
import { LibraryLifecycle } from "../../../src/functions/library-lifecycle.ts";
import type { LibraryRecords } from "../../../src/functions/library-records.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { LibraryShelf } from "../../../src/functions/library-shelf.ts";
import { type LibraryVersion, librarySource } from "../../../src/functions/library-version.ts";
import type { Sandbox } from "../../../src/functions/sandbox-port.ts";
import type { PeerRequest, PeerShard } from "../../../src/functions/shards.ts";
import type { Shard, Topology } from "../../../src/topology/topology.ts";
import { shardsWith } from "../../support/shards.ts";

/** The record, one turn of the event loop away. */
class DistantRecord implements LibraryRecords {
  version: LibraryVersion | undefined;
  /** Told before each write. */
  beforeCommit: () => void = () => undefined;
  /** Told after each write; may lose the answer. */
  afterCommit: () => void = () => undefined;

  async get() {
    await nextTurn();
    return this.version;
  }

  async list() {
    return this.version ? [this.version] : [];
  }

  async commit(version: LibraryVersion, expectedRevision: number) {
    await nextTurn();
    this.beforeCommit();
    if ((this.version?.revision ?? 0) !== expectedRevision) return false;
    this.version = version;
    this.afterCommit();
    return true;
  }
}

type Request = (what: PeerRequest, body: Uint8Array, context: CallContext) => Promise<Uint8Array>;

/** Coordinators of one cluster that reach one another. */
class Network {
  readonly record = new DistantRecord();
  readonly #coordinators = new Map<string, Request>();
  /** Stands before every request to a peer. */
  onRequest: (what: PeerRequest, context: CallContext) => void = () => undefined;

  join(
    id: string,
    load: Sandbox["load"] = async () => ({
      functions: [],
      remoteFunctions: [],
      rpcMethods: [],
      tasks: [],
      middleware: [],
    }),
  ) {
    const registry = new LibraryRegistry();
    const sandbox: Sandbox = { load, unload: () => undefined, run: () => Promise.reject(new Fault("INTERNAL", "")) };
    const topology = (): Topology => ({
      version: 1,
      hash: "",
      self: id,
      selfShard: id,
      ownShard: shard(id, 0),
      shards: [...this.#coordinators.keys()].map(shard),
      replicas: [],
      ownerOf: () => undefined,
    });
    const lifecycle = new LibraryLifecycle({
      registry,
      shelf: new LibraryShelf({
        registry,
        sandbox,
        isBuiltIn: () => false,
        checkTasks: () => undefined,
        retentionMs: 1000,
        faults: NO_FAULTS,
      }),
      commit: new LibraryCommit({ registry, records: this.record, maxVersionBytes: 1 << 20, faults: NO_FAULTS }),
      shards: shardsWith({ topology, peer: (peer) => this.#peer(peer) }),
      faults: NO_FAULTS,
    });
    this.#coordinators.set(id, (what, body, context) =>
      what === "adoptLibrary" ? lifecycle.adoptFromPeer(body) : lifecycle.prepareFromPeer(body, context),
    );
    const loadText = (text: string, context = within(60_000), { allowMissing = false } = {}) =>
      lifecycle.load(`#!js name=lib\n${text}`, { config: "", replace: true, allowMissing }, context);
    return { registry, load: loadText, revision: () => registry.newest("lib")?.revision };
  }

  #peer(id: string): PeerShard {
    return {
      request: async (what, body, context) => {
        await nextTurn();
        this.onRequest(what, context);
        return this.#coordinators.get(id)?.(what, body, context) ?? new Uint8Array();
      },
    };
  }
}

function shard(id: string, index: number): Shard {
  return { id, address: { host: id, port: 6379 }, slots: [{ start: index, end: index }], epoch: 0 };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function within(ms: number, signal: CallContext["signal"] = NEVER_ABORTED): CallContext {
  return { deadline: deadlineIn(ms), signal, depth: 0 };
}

test("each of thirty loads at once has its turn", async (t) => {
  const network = new Network();
  const all = ["a", "b", "c"].map((id) => network.join(id));
  const loads = Array.from({ length: 30 }, async (_, index) => all[index % 3]?.load(`text ${index % 2}`));
  const revisions = (await Promise.all(loads)).map((load) => load?.version.revision ?? 0).sort((a, b) => a - b);
  t.deepEqual(
    revisions,
    Array.from({ length: 30 }, (_, index) => index + 1),
  );
  t.deepEqual(
    all.map(({ revision }) => revision()),
    [30, 30, 30],
  );
});

test.serial("a load that never has its turn says so before its deadline, and changes nothing", async (t) => {
  // Time is what the test makes of it: a machine that stands still for a moment is not a load that is late.
  let nowMs = performance.now();
  mock.timers.enable({ apis: ["setTimeout"] });
  mock.method(performance, "now", () => nowMs);
  t.teardown(() => mock.reset());
  const network = new Network();
  const a = network.join("a");
  await a.load("first");
  let rival = 100;
  network.record.beforeCommit = () => {
    const { version } = network.record;
    if (version) network.record.version = { ...version, revision: rival++ };
  };
  const startedMs = nowMs;
  let isOver = false;
  const failed = t.throwsAsync(a.load("second", within(600)), { message: /is being changed by others/ }).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await nextTurn();
    nowMs++;
    mock.timers.tick(1);
  }
  t.like(await failed, { code: "UNAVAILABLE" });
  t.true(nowMs - startedMs < 600);
  t.true(rival > 102, "it tried again");
});

test("a committed version is pending wherever it is not adopted, also on the coordinator that was asked", async (t) => {
  const network = new Network();
  let loads = 0;
  const a = network.join("a", async () => {
    if (++loads > 1) throw new Fault("UNAVAILABLE", "the sandbox process is gone");
    return { functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] };
  });
  const b = network.join("b");
  network.join("c");
  network.onRequest = (what, { deadline }) => {
    if (what === "adoptLibrary" && b.revision() === 1) throw new Fault("INDETERMINATE", `lost ${deadline}`);
  };
  const { version, pending } = await a.load("text");
  t.is(version.revision, 1);
  t.deepEqual(pending, ["c:6379", "a:6379"]);
});

test("a method that another library has on any shard refuses the load before it is committed, whatever may be missing", async (t) => {
  const network = new Network();
  const registrations = { functions: [], remoteFunctions: [], rpcMethods: ["m"], tasks: [], middleware: [] };
  const a = network.join("a", async () => registrations);
  const b = network.join("b", async () => registrations);
  const other = librarySource("other", "", "{}");
  b.registry.adopt({ name: "other", revision: 1, source: other }, registrations);
  for (const { load } of [a, b]) {
    const fault = await t.throwsAsync(load("text", within(60_000), { allowMissing: true }));
    t.like(fault, { code: "LIBRARY_REFUSED", message: "RPC method m already exists: library other registered it" });
  }
  t.is(network.record.version, undefined);
  b.registry.adopt({ name: "other", revision: 2, source: undefined }, undefined);
  t.is((await a.load("text")).version.revision, 1);
  t.is(b.registry.method("m")?.source.name, "lib");
});

test("a caller that goes before the commit gets nothing changed; after it every shard is told all the same", async (t) => {
  const network = new Network();
  const [a, b] = [network.join("a"), network.join("b")];
  const before = new AbortController();
  network.onRequest = () => before.abort();
  t.like(await t.throwsAsync(a.load("text", within(60_000, before.signal))), { code: "CANCELLED" });
  t.is(network.record.version, undefined);

  const after = new AbortController();
  network.record.afterCommit = () => after.abort();
  network.onRequest = (_what, { signal }) => {
    if (signal.aborted) throw new Fault("CANCELLED", "the caller is gone");
  };
  t.deepEqual((await a.load("text", within(60_000, after.signal))).pending, []);
  t.is(b.revision(), 1);
});

test("a shard that is slow to adopt leaves its caller the time to hear of it", async (t) => {
  const network = new Network();
  const a = network.join("a");
  network.join("b");
  const context = within(2000);
  const leftMs: number[] = [];
  network.onRequest = (what, { deadline }) => {
    if (what !== "adoptLibrary") return;
    leftMs.push(context.deadline - deadline);
    throw new Fault("DEADLINE_EXCEEDED", "no answer");
  };
  t.deepEqual((await a.load("text", context)).pending, ["b:6379"]);
  t.true((leftMs[0] ?? 0) >= 199);
});

test("a lost answer is read back; where somebody wrote since, nobody can tell", async (t) => {
  const network = new Network();
  const a = network.join("a");
  const lost = () => {
    throw new Fault("INDETERMINATE", "the answer was lost");
  };
  network.record.afterCommit = lost;
  t.is((await a.load("first")).version.revision, 1);
  network.record.afterCommit = () => {
    const { version } = network.record;
    if (version) network.record.version = { ...version, revision: 9 };
    lost();
  };
  t.like(await t.throwsAsync(a.load("second")), { code: "INDETERMINATE" });
});

test("a write that was not there when it was read back may still come: no later failure says that nothing has changed", async (t) => {
  const network = new Network();
  const a = network.join("a");
  network.record.beforeCommit = () => {
    network.record.beforeCommit = () => {
      throw new Fault("UNAVAILABLE", "Redis is gone");
    };
    throw new Fault("INDETERMINATE", "the answer was lost");
  };
  t.like(await t.throwsAsync(a.load("text")), { code: "INDETERMINATE" });
  t.is(network.record.version, undefined);
  network.record.beforeCommit = () => {
    network.record.beforeCommit = () => undefined;
    throw new Fault("INDETERMINATE", "the answer was lost");
  };
  t.is((await a.load("text")).version.revision, 1, "a later write that succeeds settles it");
});
