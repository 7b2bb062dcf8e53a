import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryLevelling } from "../../../src/functions/library-levelling.ts";
import type { LibraryRecords } from "../../../src/functions/library-records.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { LibraryShelf } from "../../../src/functions/library-shelf.ts";
import { type LibraryVersion, librarySource } from "../../../src/functions/library-version.ts";
import type { Sandbox } from "../../../src/functions/sandbox-port.ts";
import type { PeerShard } from "../../../src/functions/shards.ts";
import type { Shard, Topology } from "../../../src/topology/topology.ts";
import { shardsWith } from "../../support/shards.ts";

/** The record as coordinators see it, while it can be reached. */
class MemoryRecord implements LibraryRecords {
  readonly versions = new Map<string, LibraryVersion>();
  isAway = false;
  isReadOnly = false;
  /** Comes between the reading and its answer. */
  beforeListed: (() => Promise<void>) | undefined;

  async get(name: string) {
    return this.versions.get(name);
  }

  async list() {
    const versions = [...this.versions.values()];
    await this.beforeListed?.();
    if (this.isAway) throw new Fault("UNAVAILABLE", "the record is away");
    return versions;
  }

  async commit(version: LibraryVersion) {
    if (this.isReadOnly) throw new Fault("UNAVAILABLE", "READONLY");
    this.versions.set(version.name, version);
    return true;
  }
}

const SANDBOX: Sandbox = {
  async load({ text }) {
    if (text === "broken") throw new Fault("LIBRARY_REFUSED", "it does not load");
    return { functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] };
  },
  unload: () => undefined,
  run: () => Promise.reject(new Fault("INTERNAL", "nothing runs here")),
};

function shard(id: string): Shard {
  return { id, address: { host: "h", port: 1 }, slots: [{ start: 0, end: 1 }], epoch: 0 };
}

/** Coordinators of one cluster, `linked` of which can be reached. */
class Network {
  readonly record = new MemoryRecord();
  readonly #levellings = new Map<string, LibraryLevelling>();
  readonly linked = new Set<string>();
  /** One that has a link and gives no answer. */
  mute = "";
  readonly answerBytes: number[] = [];
  readonly told: string[] = [];

  join(id: string, ...versions: LibraryVersion[]) {
    const registry = new LibraryRegistry();
    for (const version of versions)
      registry.adopt(version, { functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] });
    const topology = (): Topology => ({
      version: 1,
      hash: "",
      self: id,
      selfShard: id,
      ownShard: shard(id),
      shards: [...this.#levellings.keys()].map(shard),
      replicas: [],
      ownerOf: () => undefined,
    });
    const levelling = new LibraryLevelling({
      registry,
      shelf: new LibraryShelf({
        registry,
        sandbox: SANDBOX,
        isBuiltIn: () => false,
        checkTasks: () => undefined,
        retentionMs: 1,
        faults: NO_FAULTS,
      }),
      records: this.record,
      shards: shardsWith({ topology, peer: (peer) => this.#peer(peer) }),
      observer: {
        refused: (library) => this.told.push(`refused ${library}`),
        notWrittenBack: (library) => this.told.push(`not written back ${library}`),
      },
      faults: NO_FAULTS,
    });
    this.#levellings.set(id, levelling);
    this.linked.add(id);
    return { registry, level: () => levelling.level() };
  }

  #peer(id: string): PeerShard | undefined {
    if (!this.linked.has(id)) return undefined;
    return {
      request: async (_what, body) => {
        const answer = id !== this.mute && (await this.#levellings.get(id)?.shareWithPeer(body));
        if (!answer) throw new Fault("DEADLINE_EXCEEDED", "no answer");
        this.answerBytes.push(answer.length);
        return answer;
      },
    };
  }
}

function version(name: string, revision: number, text = `${name} ${revision}`): LibraryVersion {
  return { name, revision, source: librarySource(name, text, "{}") };
}

function revisions({ registry }: { registry: LibraryRegistry }): Record<string, number> {
  return Object.fromEntries([...registry.versions()].map(({ name, revision }) => [name, revision]));
}

test("without the record, whoever starts takes the newest of what its peers have, deletions included", async (t) => {
  const network = new Network();
  const [a, b] = [network.join("a", version("x", 3), version("y", 1)), network.join("b", version("x", 2))];
  await Promise.all([a.level(), b.level()]);
  network.record.isAway = true;
  const c = network.join("c", { name: "z", revision: 4, source: undefined }, version("y", 2));
  await c.level();
  t.deepEqual(revisions(c), { x: 3, y: 2, z: 4 });
  await a.level();
  t.deepEqual(revisions(a), { x: 3, y: 2, z: 4 });
});

test("a levelling that is asked for while another runs sees what was committed since that one read the record", async (t) => {
  const network = new Network();
  const { record } = network;
  const a = network.join("a");
  const [slow, list] = [Promise.withResolvers<LibraryVersion[]>(), record.list.bind(record)];
  record.list = () => {
    record.list = list;
    return slow.promise;
  };
  const before = a.level();
  await record.commit(version("x", 1));
  const after = a.level();
  slow.resolve([]);
  await before;
  await after;
  t.deepEqual(revisions(a), { x: 1 });
});

test("without the record and without peers it is not known whether there are libraries", async (t) => {
  const network = new Network();
  network.record.isAway = true;
  await t.throwsAsync(network.join("a").level(), { message: "the record is away" });
});

test("coordinators that all start without the record do not tell one another that there is nothing", async (t) => {
  const network = new Network();
  network.record.isAway = true;
  const [a, b] = [network.join("a"), network.join("b", version("x", 1))];
  await t.throwsAsync(a.level(), { message: "the record is away" });
  await t.throwsAsync(b.level(), { message: "the record is away" });
  t.deepEqual(revisions(a), { x: 1 }, "what is newer is served all the same");
  network.record.isAway = false;
  await a.level();
  network.record.isAway = true;
  await t.notThrowsAsync(b.level());
});

test("a peer that can be reached and does not answer may have something newer; one without a link is left out", async (t) => {
  const network = new Network();
  const a = network.join("a", version("x", 1));
  await a.level();
  network.record.isAway = true;
  const c = network.join("c");
  network.join("mute");
  network.mute = "mute";
  await t.throwsAsync(c.level(), { message: "the record is away" });
  network.linked.delete("mute");
  await t.notThrowsAsync(c.level());
  t.deepEqual(revisions(c), { x: 1 });
});

test("the record alone is enough; whoever is ahead writes it back, and goes on where that fails", async (t) => {
  const network = new Network();
  const a = network.join("a", version("x", 2), version("y", 1));
  network.record.versions.set("x", version("x", 1));
  network.record.versions.set("y", version("y", 5));
  network.record.isReadOnly = true;
  await a.level();
  t.deepEqual(revisions(a), { x: 2, y: 5 });
  t.deepEqual(network.told, ["not written back x"]);
  network.record.isReadOnly = false;
  await a.level();
  t.is(network.record.versions.get("x")?.revision, 2);
});

test("a library that does not load here keeps no other one out", async (t) => {
  const network = new Network();
  network.record.versions.set("bad", version("bad", 1, "broken"));
  network.record.versions.set("good", version("good", 1));
  const a = network.join("a");
  await a.level();
  t.deepEqual(revisions(a), { good: 1 });
  t.deepEqual(network.told, ["refused bad"]);
});

test("many and large versions come in several answers, and what is known does not come again", async (t) => {
  const network = new Network();
  const versions = Array.from({ length: 12 }, (_, index) => version(`lib${index}`, 1, "x".repeat(100_000)));
  const a = network.join("a", ...versions, version("huge", 1, "x".repeat(1_000_000)));
  await a.level();
  network.record.isAway = true;
  const b = network.join("b");
  await b.level();
  t.is(Object.keys(revisions(b)).length, 13);
  const sent = network.answerBytes.reduce((sum, bytes) => sum + bytes, 0);
  t.true(sent < 2_300_000, "each was sent once");
  t.true(network.answerBytes.filter((bytes) => bytes > 300_000).length <= 1, "only the huge one makes a large answer");
  network.answerBytes.length = 0;
  await b.level();
  t.deepEqual(
    network.answerBytes.map((bytes) => bytes < 10),
    [true],
  );
});

test("who asks while a levelling runs gets the next one: the record may have changed since the first read it", async (t) => {
  const network = new Network();
  const a = network.join("a");
  let asked: Promise<void> | undefined;
  network.record.beforeListed = async () => {
    network.record.versions.set("x", version("x", 1));
    asked ??= a.level();
  };
  await a.level();
  t.deepEqual(revisions(a), {});
  await asked;
  t.deepEqual(revisions(a), { x: 1 });
});
