import { setTimeout as delay } from "node:timers/promises";
import test, { type ExecutionContext } from "ava";
import { Cluster as RedisCluster } from "ioredis";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { DEFAULT_TIMES, startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { kindsOf, LIBRARY } from "./rolling-restart/calls.ts";
import { Listener, Subscription } from "./rolling-restart/listeners.ts";
import { Tally } from "./rolling-restart/tally.ts";
import { TaskLoad } from "./rolling-restart/task-load.ts";

const SHARDS = 3;
/** Between two calls of one kind by one client: the restarted coordinator needs a core, too. */
const PAUSE_MS = 50;
/** More than a restart takes on a machine that has other things to do. Unit: ms. */
const TIMEOUT_MS = 60_000;
const ENV = {
  ...DEFAULT_TIMES,
  GEARMESH_PEER_RETURN_MS: String(TIMEOUT_MS),
  // Less than a restart takes, and more than a call on such a machine.
  GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: "5000",
  // What such a machine makes of a function that stands still for a moment is not what is asked here.
  GEARMESH_RUN_TIMEOUT_MS: "10000",
  GEARMESH_LOCK_REDIS_TIMEOUT: "10000",
};
/** Calls of each kind between two restarts. */
const PEACE = 20;

/** Everything that applications do, by as many clients as there are masters, each of which prefers another coordinator. */
class Load {
  readonly tally = new Tally();
  readonly subscriptions: readonly Subscription[];
  readonly listeners: Listener[] = [];
  readonly tasks: TaskLoad;
  readonly #clients: readonly GearmeshClient[];
  readonly #keys: readonly string[];
  readonly #loops: Promise<void>[] = [];
  #nodeNames: readonly string[] = [];
  #isOver = false;

  constructor(cluster: Cluster) {
    const addresses = cluster.nodes.map(({ coordinator }) => coordinator.address);
    const masters = cluster.nodes.slice(0, SHARDS);
    this.#clients = masters.map(({ coordinator: { address } }) =>
      connect({
        address,
        alternatives: addresses.filter((other) => other !== address),
        token: cluster.token,
        timeoutMs: TIMEOUT_MS,
      }),
    );
    this.#keys = masters.map((node) => keyOn(cluster, node, SHARDS));
    this.tasks = new TaskLoad(this.#keys, this.tally);
    this.subscriptions = this.#clients.map((client, index) => new Subscription(client, String(index), this.tally));
  }

  async start(): Promise<void> {
    const [first] = this.#clients;
    await first?.load(LIBRARY);
    this.#nodeNames = ((await first?.rpc("ping")) ?? []).map(({ node }) => node);
    for (const client of this.#clients) {
      this.listeners.push(await Listener.open(client, this.tally));
      await this.tasks.work(client);
    }
    for (const subscription of this.subscriptions) subscription.start();
    await eventually(() => this.subscriptions.every(({ isSubscribed }) => isSubscribed), { what: "subscriptions" });
    this.#clients.forEach((client, index) => {
      this.#begin(client, index);
    });
  }

  /** Resolves once each kind of call was made some more times. */
  async hasGoneOn(): Promise<void> {
    const before = this.tally.counts();
    const behind = (): readonly string[] => {
      const now = this.tally.counts();
      return [...before].filter(([what, calls]) => (now.get(what) ?? 0) < calls + PEACE).map(([what]) => what);
    };
    try {
      await eventually(() => behind().length === 0, { what: "calls of each kind", deadlineMs: TIMEOUT_MS });
    } catch (cause) {
      const text = `too few calls of ${behind().join(", ")}\n${this.tally.table()}\n${this.tally.unexpected().join("\n")}`;
      throw new Error(text, { cause });
    }
  }

  /** Resolves once nothing is under way any more. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
    await eventually(() => this.listeners.every(({ heard, sent }) => heard.heard >= sent), {
      what: "all that was sent to connections",
    });
    await Promise.all(this.subscriptions.map((subscription) => subscription.stop()));
    await Promise.all(this.listeners.map(({ connection }) => connection.quit()));
  }

  /** Whether nothing is left in the queues. */
  async isWorkedOff(): Promise<boolean> {
    const details = await this.#clients[0]?.tasks.details();
    return Object.values(details?.queues ?? {}).every(({ length, active }) => length === 0 && active === 0);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    for (const client of this.#clients) client.close();
    await this.tasks.stop();
  }

  #begin(client: GearmeshClient, index: number): void {
    const scene = {
      keys: this.#keys,
      nodeNames: () => this.#nodeNames,
      connectionIds: () => this.listeners.map(({ connection }) => connection.id),
    };
    const stream = client.stream();
    const subscription = this.subscriptions[index];
    const listener = this.listeners[index];
    // The client behind it sends nothing to itself.
    const sender = this.#clients[(index + 1) % this.#clients.length] ?? client;
    for (const { what, onlyReads, make } of kindsOf(client, scene)) this.#repeat(what, onlyReads, make);
    this.#repeat("enqueue for a library", false, () => this.tasks.enqueueForLibrary(client));
    this.#repeat("enqueue for a worker, on CallStream", false, () => this.tasks.enqueueForWorker(stream));
    this.#repeat("enqueue, and await the result", false, () => this.tasks.enqueueAndAwait(client));
    this.#repeat("publish, on CallStream", false, async () => subscription?.publish());
    this.#repeat("message to a connection", false, async () => listener?.send(sender));
    this.#repeat("request on a connection", false, async () => listener?.connection.verb("detailsView"));
  }

  #repeat(kind: string, onlyReads: boolean, make: (turn: number) => Promise<unknown>): void {
    const what = `${kind}${onlyReads ? ", reading" : ""}`;
    const loop = async (): Promise<void> => {
      for (let turn = 0; !this.#isOver; turn++) {
        await this.tally.note(what, onlyReads, () => make(turn));
        await delay(PAUSE_MS);
      }
    };
    this.#loops.push(loop());
  }
}

async function restartAll(t: ExecutionContext, replicasPerMaster: number): Promise<void> {
  await using cluster = await startTestCluster(t, { shards: SHARDS, replicasPerMaster, env: ENV });
  const load = new Load(cluster);
  await using stack = new AsyncDisposableStack();
  stack.defer(() => load.close());
  await load.start();
  await load.hasGoneOn();
  for (const { coordinator } of cluster.nodes) {
    const begunMs = performance.now();
    await coordinator.stop();
    const stoppedMs = performance.now();
    await coordinator.start();
    const startedMs = performance.now();
    t.log(
      `${coordinator.address}: ${Math.round(stoppedMs - begunMs)} ms until it had stopped, ${Math.round(startedMs - stoppedMs)} ms until it was ready`,
    );
    await load.hasGoneOn();
  }
  await load.stop();
  t.log(`\n${load.tally.table()}`);
  await eventually(() => load.isWorkedOff(), { what: "empty queues" });
  const redis = new RedisCluster([{ host: "127.0.0.1", port: cluster.nodes[0]?.redis.port ?? 0 }]);
  stack.defer(() => redis.disconnect());
  const effects = await load.tasks.effects((key) => redis.hgetall(key));
  t.log(`tasks worked once: ${effects.once}, never: ${effects.never}, twice: ${effects.twice}`);
  for (const { heard } of load.subscriptions) {
    t.log(
      `a subscriber heard ${heard.heard} messages, and missed ${heard.skipped} while it went to another coordinator`,
    );
  }
  t.log(`connections resumed: ${load.listeners.map(({ resumed }) => resumed).join(", ")} times`);
  t.deepEqual(load.tally.unexpected(), []);
  t.like(effects, { never: 0, twice: 0 });
  t.true(load.listeners.every(({ resumed }) => resumed > 0));
}

test.serial("a rolling restart of all coordinators under load fails nothing", async (t) => {
  t.timeout(5 * 60_000);
  await restartAll(t, 0);
});
