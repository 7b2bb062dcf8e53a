import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { Cluster as RedisCluster } from "ioredis";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type Random, seededRandom } from "../support/seed.ts";

const TASKS = Number(process.env["GEARMESH_STORM_TASKS"] ?? 20_000);
const LEAVE_TASKS = 3000;
const BULK = 200;
const SHARDS = 3;
const LEASE_MS = 3000;
/** Where nobody dies: longer than a machine stands still that has other things to do. */
const LONG_LEASE_MS = 60_000;
/** Between two deaths. */
const PEACE_MS = 400;
const OTHER_CAUSE = "failover";
/** What a machine that has other things to do makes of a moment. */
const SLOW_MS = 5000;
const WORKER = fileURLToPath(new URL("../support/task-worker-process.ts", import.meta.url));

/** An external worker, which is started anew where it died. */
class StormWorker {
  readonly #cluster: Cluster;
  readonly #node: ClusterNode;
  #process: ChildProcess | undefined;

  constructor(cluster: Cluster, node: ClusterNode) {
    this.#cluster = cluster;
    this.#node = node;
  }

  async start(): Promise<void> {
    const { coordinator, redis } = this.#node;
    this.#process = fork(WORKER, [coordinator.address, this.#cluster.token, String(redis.port)]);
    await once(this.#process, "message");
  }

  /** Who it was. */
  async kill(): Promise<string> {
    const { pid = 0 } = this.#process ?? {};
    const ended = this.#process && once(this.#process, "exit");
    this.#process?.kill("SIGKILL");
    await ended;
    return `${pid}@${this.#node.coordinator.address}`;
  }
}

interface Storm extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly clients: readonly GearmeshClient[];
  readonly workers: readonly StormWorker[];
}

/** A cluster with a worker at each coordinator, and a queue with a partition on each shard. */
async function startStorm(t: ExecutionContext, tasks: number, leaseMs = LEASE_MS): Promise<Storm> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(
    await startTestCluster(t, {
      shards: SHARDS,
      replicasPerMaster: 1,
      env: { GEARMESH_TASK_LEASE_MS: String(leaseMs), GEARMESH_TASK_MAX_RESULTS: String(Math.max(1000, 2 * tasks)) },
    }),
  );
  const clients = cluster.nodes.map(({ coordinator }) =>
    stack.use(connect({ address: coordinator.address, token: cluster.token, timeoutMs: 5000 })),
  );
  const workers = cluster.nodes.map((node) => new StormWorker(cluster, node));
  stack.defer(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
  });
  await Promise.all(workers.map((worker) => worker.start()));
  await eventually(() => clients[0]?.tasks.configureQueue("storm", { partitions: SHARDS }).then(() => true), {
    what: "the queue",
  });
  const started = stack.move();
  return { cluster, clients, workers, [Symbol.asyncDispose]: () => started.disposeAsync() };
}

async function depth(clients: readonly GearmeshClient[]) {
  for (const client of clients) {
    const details = await client.tasks.details().catch(() => undefined);
    if (details) return details.queues["storm"];
  }
  return undefined;
}

async function allWorked(t: ExecutionContext, clients: readonly GearmeshClient[], tasks: number): Promise<void> {
  const depthOnceDone = async () => {
    const found = await depth(clients);
    return found?.completed === tasks ? found : undefined;
  };
  // One reading: at the next one a coordinator may have died that would have told it.
  const found = await eventually(depthOnceDone, { what: "all tasks", deadlineMs: 5 * 60_000 });
  t.like(found, { length: 0, delayed: 0, active: 0, failed: 0, completed: tasks });
}

test.serial(
  "20,000 tasks while coordinators and workers are killed, a master fails over and a coordinator leaves: every task's effect happens once",
  async (t) => {
    t.timeout(8 * 60_000);
    const random = seededRandom(t);
    await using storm = await startStorm(t, TASKS);
    const { cluster, clients } = storm;
    const dead = new Set<string>();
    const strikes = new Map<string, number>();
    const started = performance.now();
    let isOver = false;
    const enqueueing = enqueueAll(clients, TASKS, random);
    const deaths = (async () => {
      const disasters = ["worker", "coordinator", "worker", "failover", "worker", "leave", "coordinator", "worker"];
      for (let i = 0; !isOver && i < 3 * disasters.length; i++) {
        const disaster = disasters[i % disasters.length] ?? "";
        await strike(disaster, { ...storm, dead, random });
        strikes.set(disaster, (strikes.get(disaster) ?? 0) + 1);
        await new Promise((resolve) => setTimeout(resolve, PEACE_MS));
      }
    })();
    await enqueueing;
    await allWorked(t, clients, TASKS);
    isOver = true;
    await deaths;
    t.log(`${TASKS} tasks in ${Math.round(performance.now() - started)} ms: ${JSON.stringify([...strikes])}`);
    const reruns = await checkEffects(t, cluster, TASKS, dead);
    if (!strikes.has("failover")) t.is(reruns.get(OTHER_CAUSE), undefined);
  },
);

test.serial(
  "coordinators that leave gracefully, one after the other, hand everything back: nothing is worked twice",
  async (t) => {
    t.timeout(4 * 60_000);
    const random = seededRandom(t);
    await using storm = await startStorm(t, LEAVE_TASKS, LONG_LEASE_MS);
    const { cluster, clients } = storm;
    const enqueueing = enqueueAll(clients, LEAVE_TASKS, random);
    const leaves = (async () => {
      for (let i = 0; i < SHARDS; i++) await strike("leave", { ...storm, dead: new Set(), random });
    })();
    await Promise.all([enqueueing, leaves]);
    await allWorked(t, clients, LEAVE_TASKS);
    t.is((await checkEffects(t, cluster, LEAVE_TASKS, new Set())).size, 0);
  },
);

test.serial("after SIGKILL of a master with a replica, what was acknowledged is there", async (t) => {
  t.timeout(4 * 60_000);
  await using cluster = await startTestCluster(t, {
    shards: SHARDS,
    replicasPerMaster: 1,
    clusterNodeTimeoutMs: 1500,
  });
  const clients = cluster.nodes.map(({ coordinator }) =>
    connect({ address: coordinator.address, token: cluster.token }),
  );
  t.teardown(() => {
    for (const client of clients) client.close();
  });
  const [first] = clients;
  if (!first) return t.fail();
  await first.load('#!js name=kept\nredis.register_task("kept", async () => 1, { queue: "kept" });');
  await first.tasks.configureQueue("kept");
  await first.tasks.pauseQueue("kept");
  const { host, port } = (await first.locateKey("{kept.0}")).shard;
  const victim = cluster.nodes.findIndex(({ redis }) => redis.port === port);
  t.true(victim >= 0, `${host}:${port}`);
  const survivor = clients[(victim + 1) % SHARDS] ?? first;
  const acknowledged: string[] = [];
  let isKilled = false;
  const enqueueing = (async () => {
    for (let n = 0; !isKilled; n++) {
      const task = await survivor.tasks.enqueue("kept", n, { id: `kept-${n}`, timeoutMs: 1000 }).catch(() => undefined);
      if (task) acknowledged.push(task.id);
    }
  })();
  await eventually(() => acknowledged.length > 200, { what: "200 tasks" });
  await cluster.nodes[victim]?.redis.kill("SIGKILL");
  isKilled = true;
  await enqueueing;
  const states = await eventually(
    () => Promise.all(acknowledged.map(async (id) => (await survivor.tasks.describe(id)).state)),
    { what: "a new master", deadlineMs: 60_000 },
  );
  t.deepEqual(new Set(states), new Set(["waiting"]));
  t.log(`${acknowledged.length} tasks had been acknowledged`);
});

test.serial(
  "delayed and recurrent tasks through the deaths of all coordinators, one after the other: none lost, none doubled",
  async (t) => {
    t.timeout(4 * 60_000);
    await using cluster = await startTestCluster(t, {
      shards: SHARDS,
      env: { GEARMESH_TASK_LEASE_MS: "2000" },
    });
    const clients = cluster.nodes.map(({ coordinator }) =>
      connect({ address: coordinator.address, token: cluster.token }),
    );
    t.teardown(() => {
      for (const client of clients) client.close();
    });
    const [first] = clients;
    if (!first) return t.fail();
    const LIBRARY = `#!js name=timed
    redis.register_task("timed", async (client, args, task) => ({ args, at: task.enqueuedAt }), { queue: "timed" });
    redis.register_task("tick", async () => Date.now(), { queue: "ticks", frequency: 1000 });
  `;
    await first.load(LIBRARY);
    const delayed = await first.tasks.enqueueBulk(
      Array.from({ length: 300 }, (_, n) => ({ name: "timed", args: n, delayMs: 1000 + n * 50 })),
    );
    const dueAt = async (client: GearmeshClient) => {
      const ticks = await client.tasks.list({ queue: "ticks", state: "completed" });
      return ticks.map(({ id }) => Number(/r-(\d+)-/.exec(id)?.[1])).sort((a, b) => a - b);
    };
    for (const [index, { coordinator }] of cluster.nodes.entries()) {
      await coordinator.kill("SIGKILL");
      const killedAtMs = Date.now();
      await new Promise((resolve) => setTimeout(resolve, 2500));
      const survivor = clients[(index + 1) % SHARDS] ?? first;
      await eventually(async () => ((await dueAt(survivor)).at(-1) ?? 0) > killedAtMs, {
        what: "a run that was due after one's death, and before its return",
        deadlineMs: 60_000,
      });
      await coordinator.start();
    }
    for (const task of delayed) {
      if (task instanceof Error) return t.fail(task.message);
      const { state, enqueuedAtMs, startedAtMs, fence } = await eventually(
        async () => {
          const found = await first.tasks.describe(task.id);
          return found.state === "completed" && found;
        },
        { what: `task ${task.id}`, deadlineMs: 60_000 },
      ).then((found) => found || t.fail("it never ended"));
      t.is(state, "completed");
      if (fence === 1) t.true(startedAtMs - enqueuedAtMs < 60_000);
    }
    const due = await dueAt(first);
    t.is(new Set(due).size, due.length);
    const gaps = due.slice(1).map((at, i) => at - (due[i] ?? 0));
    t.log(`${due.length} runs, the longest gap ${Math.max(...gaps)} ms`);
    // A run that a coordinator held comes after its lease.
    t.true(Math.max(...gaps) <= 1000 + 2000 * (5 / 3) + SLOW_MS);
  },
);

/** Each until it is accepted, under an id of its own, so that sending it again does no harm. */
async function enqueueAll(clients: readonly GearmeshClient[], count: number, random: Random): Promise<void> {
  const left = Array.from({ length: count }, (_, n) => n);
  while (left.length > 0) {
    const batch = left.splice(0, BULK);
    const client = clients[Math.floor(random() * SHARDS)];
    const tasks = batch.map((n) => ({ name: "effect", args: n, id: `effect-${n}` }));
    const outcomes = await client?.tasks.enqueueBulk(tasks).catch(() => undefined);
    for (const [i, n] of batch.entries()) if (!outcomes || outcomes[i] instanceof Error) left.push(n);
  }
}

interface Scene {
  readonly cluster: Cluster;
  readonly workers: readonly StormWorker[];
  /** Workers and coordinators that were killed, or cut off by a failover: `pid@address`, or the address. */
  readonly dead: Set<string>;
  readonly random: Random;
}

async function strike(what: string, { cluster, workers, dead, random }: Scene): Promise<void> {
  const index = Math.floor(random() * SHARDS);
  const node = cluster.nodes[index];
  if (!node) return;
  if (what === "worker") {
    const worker = workers[index];
    if (worker) dead.add(await worker.kill());
    await worker?.start();
  } else if (what === "coordinator") {
    dead.add(node.coordinator.address);
    await node.coordinator.kill("SIGKILL");
    await node.coordinator.start();
  } else if (what === "leave") {
    await node.coordinator.stop();
    await node.coordinator.start();
  } else {
    const replica = cluster.nodes[SHARDS];
    const redis = new RedisCluster([{ host: "127.0.0.1", port: replica?.redis.port ?? 0 }]);
    await redis
      .nodes("slave")[0]
      ?.call("CLUSTER", "FAILOVER")
      .catch(() => undefined);
    redis.disconnect();
  }
}

/** Resolves with how many attempts began that another one followed, by why they did not end. */
async function checkEffects(
  t: ExecutionContext,
  cluster: Cluster,
  tasks: number,
  dead: ReadonlySet<string>,
): Promise<ReadonlyMap<string, number>> {
  const redis = new RedisCluster([{ host: "127.0.0.1", port: cluster.nodes[0]?.redis.port ?? 0 }]);
  const reruns = new Map<string, number>();
  const wrong: string[] = [];
  try {
    for (let n = 0; n < tasks; n++) {
      const key = `effect:{${n}}`;
      const [effects, begun] = await Promise.all([redis.hget(key, "effects"), redis.lrange(`${key}:begun`, 0, -1)]);
      if (effects !== "1") wrong.push(`task ${n} had ${effects} effects`);
      for (const attempt of begun.slice(0, -1)) {
        const who = attempt.split(" ")[1] ?? "";
        const coordinator = who.split("@")[1] ?? "";
        const cause = dead.has(who) ? "worker died" : dead.has(coordinator) ? "coordinator died" : OTHER_CAUSE;
        reruns.set(cause, (reruns.get(cause) ?? 0) + 1);
      }
      const fences = begun.map((attempt) => Number(attempt.split(" ")[0]));
      if (new Set(fences).size !== fences.length) wrong.push(`task ${n} began twice under one number: ${begun}`);
    }
  } finally {
    redis.disconnect();
  }
  t.log(`reruns by cause: ${JSON.stringify(Object.fromEntries(reruns))}`);
  t.deepEqual(wrong.slice(0, 10), []);
  return reruns;
}
