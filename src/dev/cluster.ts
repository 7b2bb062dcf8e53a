import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Fault } from "../base/fault.ts";
import { formCluster } from "../redis/form-cluster.ts";
import { joinCluster, moveSlots } from "../redis/grow-cluster.ts";
import type { SlotRange } from "../topology/topology.ts";
import { CoordinatorProcess } from "./coordinator-process.ts";
import { BLOCK_SIZE, claimPortBlock, PORT_OFFSETS } from "./free-ports.ts";
import { untilLinked } from "./linked.ts";
import { Reaper } from "./reaper.ts";
import { findRedisServer, type RedisNetwork, RedisProcess } from "./redis-process.ts";

export interface ClusterOptions {
  /** How many masters, each with its coordinator. */
  readonly shards: number;
  /** Replicas of each master, each with its (standby) coordinator. Default: 0. */
  readonly replicasPerMaster?: number;
  /** Default: cluster. A standalone Redis is one shard that owns every slot. */
  readonly redisMode?: "cluster" | "standalone";
  readonly clusterNodeTimeoutMs?: number;
  /** Where the Redis of this index is to be reached. Default: on loopback. */
  readonly network?: (index: number) => RedisNetwork | undefined;
  /** Further lines of each Redis' configuration. */
  readonly redisConfig?: Readonly<Record<string, string>>;
  /** Where the coordinators listen. Default: 127.0.0.1. */
  readonly coordinatorHost?: string;
  /** How the coordinators learn the topology. Default: auto. */
  readonly mode?: "auto" | "manual";
  /** The serverToken. Default: a fresh one. */
  readonly token?: string;
  /** Further settings of every coordinator (`GEARMESH_...`). */
  readonly env?: Readonly<Record<string, string>>;
  /** Further settings of the coordinator beside the Redis of this port. */
  readonly envOf?: (redisPort: number) => Readonly<Record<string, string>>;
  /** Path of a module that runs each coordinator, for tests. Default: `gearmesh serve`. */
  readonly coordinatorEntry?: string;
  /** The same of the coordinator beside the Redis of this index; undefined: as those of the others. */
  readonly coordinatorEntryOf?: (index: number) => string | undefined;
  /** Whether the coordinators are started at once. Default: true. */
  readonly startsCoordinators?: boolean;
  /** First Redis port. Default: a claimed block of free ones. */
  readonly basePort?: number;
  /** Where data and logs go; removed at the end with all it holds. Default: a fresh one below the system's temporary directory. */
  readonly directory?: string;
  /** Told after each step. */
  readonly onProgress?: (progress: Progress) => void;
  /** Ends the start early. */
  readonly signal?: AbortSignal;
}

export interface Progress {
  readonly done: number;
  readonly total: number;
  /** What was just done, for example `redis-server on port 7001 is up`. */
  readonly what: string;
}

export interface ClusterNode {
  readonly redis: RedisProcess;
  readonly coordinator: CoordinatorProcess;
}

/** A cluster of real processes on loopback. Disposed, it leaves no process and no file; killed, neither. */
export interface Cluster extends AsyncDisposable {
  /** The masters in slot order, then the replicas, then those that were added. */
  readonly nodes: readonly ClusterNode[];
  readonly token: string;
  readonly directory: string;
  /** Starts one more coordinator beside the Redis of `node`: it stands by. Ends with the cluster. */
  startSecondCoordinator(node: ClusterNode): Promise<CoordinatorProcess>;
  /** Adds a Redis, which joins the cluster as a master without slots, and a coordinator beside it, which is not started yet. */
  addMaster(): Promise<ClusterNode>;
  /** Moves slots and their keys from one master to another. */
  moveSlots(slots: SlotRange, from: ClusterNode, to: ClusterNode): Promise<void>;
}

/** Starts Redis nodes, forms a cluster of them, and starts the coordinators. What was started is stopped where a later step fails. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { shards, replicasPerMaster = 0, redisMode = "cluster", mode = "auto", env, signal } = options;
  const { token = randomBytes(24).toString("base64url") } = options;
  const size = shards * (1 + replicasPerMaster);
  if (redisMode === "standalone" && size > 1) throw new Fault("INVALID_ARGUMENT", "a standalone Redis is one node");
  const step = progressOf(2 * size + 1, options.onProgress);
  const command = await findRedisServer();

  await using stack = new AsyncDisposableStack();
  const reaper = stack.use(await Reaper.start());
  const basePort = options.basePort ?? stack.use(await claimPortBlock(size)).basePort;
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "gearmesh-")));
  reaper.tell({ remove: directory });
  stack.defer(() => rm(directory, { recursive: true, force: true }));

  const newRedis = (index: number) =>
    new RedisProcess({
      command,
      port: basePort + index,
      directory: join(directory, `redis-${basePort + index}`),
      reaper,
      network: options.network?.(index),
      config: options.redisConfig,
      mode: redisMode,
      clusterNodeTimeoutMs: options.clusterNodeTimeoutMs,
    });
  const redises = Array.from({ length: size }, (_, index) => newRedis(index));
  stack.defer(() => stopAll(redises));
  await startAll(redises, signal, (redis) => step(`Redis on port ${redis.port} is up`));
  if (redisMode === "cluster") await formCluster(redises, { replicasPerMaster });
  signal?.throwIfAborted();
  step("the Redis nodes know each other");

  const newCoordinator = (redis: RedisProcess, port: number) =>
    new CoordinatorProcess({
      redis,
      host: options.coordinatorHost,
      port: port + PORT_OFFSETS.coordinator,
      opsPort: port + PORT_OFFSETS.ops,
      token,
      directory,
      reaper,
      env: { GEARMESH_MODE: mode, ...env, ...options.envOf?.(redis.port) },
      entry: options.coordinatorEntryOf?.(redis.port - basePort) ?? options.coordinatorEntry,
    });
  const newNode = (redis: RedisProcess): ClusterNode => ({ redis, coordinator: newCoordinator(redis, redis.port) });
  const nodes = redises.map(newNode);
  const coordinators = nodes.map((node) => node.coordinator);
  stack.defer(() => stopAll(coordinators));
  if (options.startsCoordinators !== false) {
    await startAll(coordinators, signal, (coordinator) => step(`coordinator on ${coordinator.address} is ready`));
    // Those of a manual topology know of nobody yet.
    if (mode === "auto") await untilLinked(coordinators, signal);
  }

  const running = stack.move();
  return {
    nodes,
    token,
    directory,
    async startSecondCoordinator({ redis }) {
      // The upper half of the block is for them.
      const second = newCoordinator(redis, redis.port + BLOCK_SIZE / 2);
      coordinators.push(second);
      await second.start();
      return second;
    },
    async addMaster() {
      if (nodes.length >= BLOCK_SIZE / 2) throw new Fault("RESOURCE_EXHAUSTED", "the block of ports has no more room");
      const node = newNode(newRedis(nodes.length));
      redises.push(node.redis);
      await node.redis.start();
      await joinCluster(
        node.redis,
        nodes.map(({ redis }) => redis),
      );
      nodes.push(node);
      coordinators.push(node.coordinator);
      return node;
    },
    moveSlots: (slots, from, to) => moveSlots(slots, from.redis, to.redis),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function progressOf(total: number, onProgress: ClusterOptions["onProgress"]): (what: string) => void {
  let done = 0;
  return (what) => onProgress?.({ done: ++done, total, what });
}

/** Starts all at once; where one fails, waits for the others' fate too, so that none starts behind the back of the clean-up. */
async function startAll<D extends RedisProcess | CoordinatorProcess>(
  daemons: readonly D[],
  signal: AbortSignal | undefined,
  started: (daemon: D) => void,
): Promise<void> {
  const outcomes = await Promise.allSettled(
    daemons.map(async (daemon) => {
      await daemon.start(signal);
      started(daemon);
    }),
  );
  const failure = outcomes.find((outcome) => outcome.status === "rejected");
  if (failure) throw failure.reason;
}

async function stopAll(daemons: readonly (RedisProcess | CoordinatorProcess)[]): Promise<void> {
  await Promise.all(daemons.map((daemon) => daemon.stop()));
}
