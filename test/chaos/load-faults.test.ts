import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { DEFAULT_TIMES, startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type Random, seededRandom } from "../support/seed.ts";
import { VERSIONED, versionAt, versionedHash, versionsFrom } from "../support/versioned-library.ts";
import { FaultRig, type LoadOutcome } from "./load-faults/rig.ts";
import { BEFORE_COMMIT, deck, type Scenario } from "./load-faults/scenario.ts";
import { Tally, UNKNOWN } from "./load-faults/tally.ts";

const RUNS = Number(process.env["GEARMESH_FAULT_RUNS"] ?? 210);
const ENTRY = fileURLToPath(new URL("../support/faulty-coordinator.ts", import.meta.url));

/** Links are lost soon, and versions are forgotten while the test still runs. */
const SETTINGS = { ...DEFAULT_TIMES, GEARMESH_HEARTBEAT_MS: "200", GEARMESH_MAX_CALL_TIMEOUT_MS: "10000" };
/** Longer than a link stays without a heartbeat. Unit: ms. */
const FREEZE_MS = 1000;
const CUT_MS = { min: 20, max: 600 };
/** Coordinators poll every 5 s; more than a few times that on a machine that has other things to do. Unit: ms. */
const CONVERGENCE_MS = 60_000;

test.serial(
  "a coordinator that fails in any step of a load loses none, and every shard ends on the record",
  async (t) => {
    t.timeout(30 * 60_000);
    const random = seededRandom(t);
    await using cluster = await startTestCluster(t, { shards: 3, env: SETTINGS, coordinatorEntry: ENTRY });
    await using rig = new FaultRig(cluster);
    const runs = new Runs(t, rig, random);
    await runs.begin();
    const scenarios = deck(RUNS, random);
    const startedMs = performance.now();
    for (const scenario of scenarios) await runs.run(scenario);
    const seconds = (performance.now() - startedMs) / 1000;
    t.log(`${scenarios.length} runs in ${seconds.toFixed()} s; the fault came to pass in ${runs.tally.failed}`);
    for (const { calls, failures } of rig.monitors.values()) t.log(`a monitor made ${calls} calls, ${failures} failed`);
    t.log(`\n${runs.tally}`);
    t.true(runs.tally.failed > 0.8 * scenarios.length);
  },
);

/** Loads version after version, one for each run, while one coordinator fails. */
class Runs {
  readonly tally = new Tally();
  readonly #t: ExecutionContext;
  readonly #rig: FaultRig;
  readonly #random: Random;
  /** Versions whose callers were told that nothing has changed. */
  readonly #refused = new Set<number>();
  #version = 1;
  /** The newest that a caller was told is loaded. */
  #promised = 0;

  constructor(t: ExecutionContext, rig: FaultRig, random: Random) {
    this.#t = t;
    this.#rig = rig;
    this.#random = random;
  }

  async begin(): Promise<void> {
    const [first] = this.#rig.cluster.nodes;
    if (first) this.#settle(this.#version, await this.#rig.load(first, this.#version));
  }

  async run(scenario: Scenario): Promise<void> {
    const version = ++this.#version;
    const [asked, other] = this.#pickTwo();
    const victim = scenario.who === "asked" ? asked : other;
    const { situation, point = "", who, fault } = scenario;
    const name = `run ${version}: ${situation} ${point}, ${who} (${victim.coordinator.address}): ${fault}`;
    try {
      const { outcome, failed } = await this.#act(scenario, version, asked, victim);
      this.#rig.withdraw(victim);
      await this.#rig.startMissing();
      this.#settle(version, outcome);
      const isDone = await this.#check(version, outcome);
      this.tally.add(scenario, outcome, failed, isDone);
      if (!failed) return;
      if (scenario.who === "asked" && (fault === "kill" || fault === "fail") && BEFORE_COMMIT.has(scenario.point)) {
        this.#t.false(isDone, `${name}: it was not committed`);
      }
      if (situation !== "absent" && !BEFORE_COMMIT.has(scenario.point))
        this.#t.true(isDone, `${name}: it was committed`);
    } catch (cause) {
      throw new Error([name, ...reasons(cause)].join("\n  because: "), { cause });
    }
  }

  async #act(
    scenario: Scenario,
    version: number,
    asked: ClusterNode,
    victim: ClusterNode,
  ): Promise<{ readonly outcome: LoadOutcome; readonly failed: boolean }> {
    const rig = this.#rig;
    switch (scenario.situation) {
      case "load": {
        const allowMissing = this.#random() < 0.25;
        return this.#during(scenario, victim, () => rig.load(asked, version, allowMissing));
      }
      case "absent": {
        const allowMissing = this.#random() < 0.5;
        if (scenario.fault === "kill") await rig.kill(victim);
        else victim.coordinator.pause();
        const outcome = allowMissing ? await this.#loaded(asked, version, true) : await rig.load(asked, version);
        victim.coordinator.resume();
        this.#t.is(
          outcome,
          allowMissing ? "PENDING" : "UNAVAILABLE",
          `without one shard, allow_missing ${allowMissing}`,
        );
        return { outcome, failed: true };
      }
      case "start": {
        await rig.kill(victim);
        const outcome = await this.#loaded(asked, version, true);
        const { failed } = await this.#during(scenario, victim, () => rig.start(victim));
        // It is ready, so it is level: now, not eventually.
        await using client = rig.client(victim);
        this.#t.is(await versionAt(client), version, `who is ready serves what was loaded meanwhile: ${outcome}`);
        return { outcome, failed };
      }
      case "told": {
        rig.order(victim, { point: "adopt.before", fault: "fail", code: "UNAVAILABLE" });
        const outcome = await this.#loaded(asked, version, false);
        rig.withdraw(victim);
        const { failed } = await this.#during(scenario, victim, async () => {
          await using client = rig.client(asked);
          await versionsFrom(client).catch(() => undefined);
        });
        return { outcome, failed };
      }
      case "ahead": {
        const older = await rig.rawRecord();
        const outcome = await this.#loaded(asked, version, false);
        await rig.setRecordBack(this.#random() < 0.5 ? older : null);
        const { failed } = await this.#during(scenario, victim, async () => {
          await rig.doubt(victim);
          // By the one that is to fail, or by another whose poll came first.
          const isBack = async () => (await rig.recorded())?.source?.hash === versionedHash(version);
          await eventually(async () => !rig.hasOrder(victim) || (await isBack()), {
            what: `a write-back after ${outcome}`,
          });
        });
        return { outcome, failed };
      }
    }
  }

  /** A load that nothing disturbs: what the run before broke, Redis connections for example, may not be whole again at once. */
  async #loaded(asked: ClusterNode, version: number, allowMissing: boolean): Promise<LoadOutcome> {
    const load = async () => {
      const outcome = await this.#rig.load(asked, version, allowMissing);
      if (outcome !== "OK" && outcome !== "PENDING") throw new Error(outcome);
      return outcome;
    };
    return eventually(load, { what: "a load with nothing in its way" });
  }

  /** `failed`: the fault came to pass. */
  async #during<T>(
    { point, fault, code }: Scenario,
    victim: ClusterNode,
    action: () => Promise<T>,
  ): Promise<{ readonly outcome: T; readonly failed: boolean }> {
    const rig = this.#rig;
    if (!point) throw new Error("there is no point to fail at");
    const forMs = CUT_MS.min + this.#random() * (CUT_MS.max - CUT_MS.min);
    if (fault === "fail") rig.order(victim, { point, fault, code });
    else if (fault === "cut") rig.order(victim, { point, fault, forMs });
    else rig.order(victim, { point, fault });
    if (fault === "kill") rig.monitors.get(victim)?.forget();
    const { pid } = victim.coordinator;
    const over = new AbortController();
    const thawing = fault === "freeze" ? rig.resumeOnceFrozen(victim, FREEZE_MS, over.signal) : undefined;
    const outcome = await action();
    const failed = !rig.hasOrder(victim);
    over.abort();
    await thawing;
    const isGone = () => victim.coordinator.pid !== pid || pid === undefined;
    if (failed && fault === "kill") await eventually(isGone, { what: "end of the one that killed itself" });
    return { outcome, failed };
  }

  #settle(version: number, outcome: LoadOutcome): void {
    if (outcome === "OK" || outcome === "PENDING") this.#promised = version;
    else if (!UNKNOWN.has(outcome)) this.#refused.add(version);
  }

  /** Resolves with whether the version is loaded, once every coordinator serves what the record holds. */
  async #check(version: number, outcome: LoadOutcome): Promise<boolean> {
    const { nodes } = this.#rig.cluster;
    const served = await eventually(() => this.#agreed(nodes), {
      what: `agreement of all coordinators and the record after ${outcome}`,
      deadlineMs: CONVERGENCE_MS,
    });
    const t = this.#t;
    t.true(served >= this.#promised, `${this.#promised} was answered OK, and ${served} is loaded`);
    t.false(this.#refused.has(served), `${served} was refused, and is loaded`);
    for (const { seen, backwards } of this.#rig.monitors.values()) {
      t.deepEqual(backwards, []);
      for (const each of seen) t.false(this.#refused.has(each), `${each} was refused, and was served`);
    }
    if (!t.passed) throw new Error("what must hold does not");
    return served === version;
  }

  /** The version that the record holds and every coordinator serves, by itself and by remote calls; throws where they differ. */
  async #agreed(nodes: readonly ClusterNode[]): Promise<number> {
    const record = await this.#rig.recorded();
    const views = await Promise.all(nodes.map((node) => this.#view(node)));
    const expected = `${record?.revision} ${record?.source?.hash}`;
    for (const { head } of views) if (head !== expected) throw new Error(`${head} is served, ${expected} is recorded`);
    const versions = new Set(views.flatMap((view) => view.versions));
    const [version] = versions;
    if (version === undefined || versions.size !== 1) throw new Error(`versions ${[...versions]} are served`);
    if (versionedHash(version) !== record?.source?.hash) throw new Error(`${version} is not what is recorded`);
    return version;
  }

  async #view(node: ClusterNode): Promise<{ readonly head: string; readonly versions: readonly number[] }> {
    await using client = this.#rig.client(node);
    const [library] = await client.list({ library: VERSIONED });
    const { versions, errors } = await versionsFrom(client);
    if (errors.length > 0) throw new Error(errors.join("; "));
    if (versions.length !== this.#rig.cluster.nodes.length) throw new Error(`${versions.length} shards answered`);
    return { head: `${library?.revision} ${library?.hash}`, versions: [...versions, await versionAt(client)] };
  }

  #pickTwo(): readonly [ClusterNode, ClusterNode] {
    const { nodes } = this.#rig.cluster;
    const first = Math.floor(this.#random() * nodes.length);
    const second = (first + 1 + Math.floor(this.#random() * (nodes.length - 1))) % nodes.length;
    const [asked, other] = [nodes[first], nodes[second]];
    if (!asked || !other) throw new Error("three nodes were started");
    return [asked, other];
  }
}

function reasons(thrown: unknown): readonly string[] {
  return thrown instanceof Error
    ? [thrown.message, ...reasons(thrown.cause)]
    : thrown === undefined
      ? []
      : [`${thrown}`];
}
