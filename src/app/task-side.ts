import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { NEVER_ABORTED } from "../base/call-context.ts";
import { systemClock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { Pace } from "../base/pace.ts";
import type { LibraryRegistry, ServedTask } from "../functions/library-registry.ts";
import type { ShardRunner } from "../functions/shard-runner.ts";
import type { WorkerEvents } from "../grpc/task-service.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { type Handler, METHOD, type Method } from "../mesh/method.ts";
import { slotOf } from "../redis/key-slot.ts";
import { Presence } from "../tasks/presence.ts";
import { queueRequest, type RegisteredTask, taskIdRequest } from "../tasks/task-codec.ts";
import { createTaskNode, type TaskNode } from "../tasks/task-node.ts";
import type { TaskFunctions, TaskObserver } from "../tasks/task-ports.ts";
import { taskRequests } from "../tasks/task-requests.ts";
import type { TaskStore } from "../tasks/task-store.ts";
import { WorkerRegistration } from "../tasks/worker-registration.ts";
import { type WorkerLink, WorkerSession } from "../tasks/worker-session.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Topology } from "../topology/topology.ts";
import type { Settings } from "./config/settings.ts";
import { nextCron } from "./cron.ts";
import { LogThrottle } from "./log-throttle.ts";
import { recoverMs } from "./task-timing.ts";

/** Peers are told of one queue no more often than this. Unit: ms. */
const NUDGE_PERIOD_MS = 10;
/** Longest that a peer may take for it. Unit: ms. */
const NUDGE_TIMEOUT_MS = 1000;
/** Time between two lines about the same failure. Unit: ms. */
const FAILURE_PERIOD_MS = 10_000;
/** Tasks on their way to Redis at a time. */
const MAX_ADDING = 2048;
/** Tasks that are awaited at a time. */
const MAX_WAITS = 10_000;
/** External workers that may be connected at a time. */
const MAX_WORKERS = 10_000;

export interface TaskSideParts {
  readonly store: TaskStore;
  readonly registry: LibraryRegistry;
  readonly runner: ShardRunner;
  /** Whether the libraries, and with them tasks and middleware, are known to be as new as anywhere in the cluster. */
  readonly isLevel: () => boolean;
  /** Makes them so. Rejects with UNAVAILABLE where that cannot be known. */
  readonly level: () => Promise<void>;
  readonly runId: string;
  readonly nodeName: () => string;
  readonly topology: () => Topology | undefined;
  readonly isActive: () => boolean;
  readonly mesh: () => Mesh;
  readonly observer: TaskObserver;
  readonly logger: Logger;
}

/** Tasks, with everything around them. */
export interface TaskSide {
  readonly node: TaskNode;
  /** The unary methods of TaskService. */
  readonly requests: ReturnType<typeof taskRequests>;
  readonly awaitTask: (body: Uint8Array, signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>;
  readonly acceptWorker: (link: WorkerLink) => WorkerEvents;
  /** What clients may ask for on their streams. */
  readonly clientHandlers: readonly [Method, Handler][];
  /** What other coordinators may ask. */
  readonly peerHandlers: readonly [Method, Handler][];
  start(): void;
  /** Hands back what is held: see TaskNode. */
  close(reason: string): Promise<void>;
}

export function createTaskSide(settings: Settings, parts: TaskSideParts): TaskSide {
  const { store, registry, runner, runId, nodeName, topology, isActive, logger } = parts;
  const throttle = new LogThrottle({ periodMs: FAILURE_PERIOD_MS });
  const failed = (what: string, cause: unknown): void => {
    const repeats = throttle.pass(what);
    if (repeats !== undefined) logger.warn({ error: cause, repeats }, `${what}; that is tried again`);
  };
  const node = createTaskNode({
    ...parts,
    functions: libraryFunctions(registry, runner),
    libraryTask(name) {
      const served = registry.task(name);
      return served && registered(served);
    },
    libraryTasks: function* () {
      for (const served of registry.tasks()) yield registered(served);
    },
    shardOf: (partition) => topology()?.ownerOf(slotOf(Buffer.from(partition)))?.id,
    shards: () => shardsOf(topology()),
    nextCron,
    tellPeers: nudges(parts),
    async refreshPeers() {
      await Promise.allSettled(tellAll(parts, ""));
    },
    failed,
    limits: {
      queueOrder: settings.taskQueues,
      minWorkers: settings.taskMinWorkers,
      maxWorkers: settings.taskMaxWorkers,
      leaseMs: settings.taskLeaseMs,
      recoverMs: recoverMs(settings),
      maxReruns: settings.taskMaxReruns,
      maxTaskBytes: settings.maxTaskBytes,
      maxAdding: MAX_ADDING,
      maxWaits: MAX_WAITS,
      timeoutMs: settings.maxCallTimeoutMs,
    },
  });
  const presence = new Presence({
    ...node,
    store,
    runId,
    nodeName,
    isNeeded: () => node.table.all().length > 0,
    clock: systemClock,
    failed,
  });
  const registration = new WorkerRegistration({
    catalogue: store.catalogue,
    watch: node.catalogue,
    refreshEverywhere: node.refreshEverywhere,
    isLibraryTask: (name) => node.table.isLibraryTask(name),
  });
  const changed = (): void => {
    node.rearrange();
    presence.changed();
  };
  let isLeaving: string | undefined;
  const requests = taskRequests({
    node,
    catalogue: store.catalogue,
    leader: () => leaderOf(node),
  });
  return {
    node,
    requests,
    awaitTask: (body, signal) => node.wait.wait(decodeRequest(taskIdRequest.decode, body).id, { signal }),
    acceptWorker(link) {
      if (isLeaving !== undefined || node.external.size >= MAX_WORKERS) {
        const text = isLeaving ?? `${MAX_WORKERS} workers are connected already`;
        link.end(new Fault(isLeaving === undefined ? "RESOURCE_EXHAUSTED" : "UNAVAILABLE", text));
        return { heard: () => undefined, end: () => undefined };
      }
      return new WorkerSession({
        link,
        id: randomUUID(),
        nodeName,
        clock: systemClock,
        heartbeatMs: Math.min(5000, Math.round(settings.taskLeaseMs / 3)),
        maxResultBytes: settings.maxResultBytes,
        async register(tasks) {
          if (!parts.isLevel()) await parts.level();
          await registration.register(tasks);
        },
        opened(session) {
          node.external.add(session);
          changed();
        },
        closed(session) {
          node.external.delete(session);
          changed();
        },
        roomy: () => node.intake.look(),
        progress: ({ partition, task }, progress) => partition.progress(task.key, progress),
      });
    },
    clientHandlers: [
      [METHOD.ENQUEUE_TASK, requests.Enqueue],
      [METHOD.ENQUEUE_TASKS, requests.EnqueueBulk],
    ],
    peerHandlers: [
      [
        METHOD.NUDGE_TASKS,
        async (body) => {
          const { queue } = decodeRequest(queueRequest.decode, body);
          if (queue === "") await node.catalogue.refresh();
          else if (isActive()) node.intake.wake(queue);
          return new Uint8Array();
        },
      ],
    ],
    start() {
      node.start();
      presence.start();
    },
    async close(reason) {
      isLeaving = reason;
      await node.close(reason, settings.drainTimeoutMs);
      await presence.close();
    },
  };
}

/** Throws LIBRARY_REFUSED for a task that recurs at no time. */
export function checkTasks(
  tasks: readonly { readonly name: string; readonly cron: string; readonly timeZone: string }[],
): void {
  for (const { name, cron, timeZone } of tasks) {
    if (cron === "") continue;
    try {
      nextCron(cron, timeZone, Date.now());
    } catch (thrown) {
      throw new Fault("LIBRARY_REFUSED", `task ${name}: ${Fault.from(thrown).message}`);
    }
  }
}

function registered({ info }: ServedTask): RegisteredTask {
  return { ...info, external: false };
}

function libraryFunctions(registry: LibraryRegistry, runner: ShardRunner): TaskFunctions {
  return {
    run: (task, args, context, progressed) => runner.task(task, args, context, progressed),
    middleware: (stage, task) =>
      registry
        .middleware(stage, task)
        .map((library) => (args, context) => runner.middleware(library, stage, args, context)),
  };
}

function shardsOf(topology: Topology | undefined): readonly string[] {
  if (!topology) return [];
  const others = topology.shards.filter(({ id, slots }) => slots.length > 0 && id !== topology.selfShard);
  return [topology.selfShard, ...others.map(({ id }) => id)];
}

/** The node whose name sorts first among those that are there. */
function leaderOf({ catalogue }: TaskNode): string {
  return [...catalogue.view.nodes.values()].map(({ node }) => node).sort()[0] ?? "";
}

/** Asks all other nodes to look at a queue, or, without one, at what is known of tasks. */
function tellAll({ mesh, topology }: Pick<TaskSideParts, "mesh" | "topology">, queue: string): Promise<unknown>[] {
  const current = topology();
  const body = queueRequest.encode({ queue });
  const context = { deadline: deadlineIn(NUDGE_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
  const others = (current?.shards ?? []).filter(({ id }) => id !== current?.self);
  return others.flatMap(({ id }) => mesh().peer(id)?.request(METHOD.NUDGE_TASKS, body, context) ?? []);
}

function nudges(parts: TaskSideParts): (queue: string) => void {
  const paces = new Map<string, Pace>();
  // Who does not hear of it looks now and then.
  const tell = (queue: string): void => void Promise.allSettled(tellAll(parts, queue));
  return (queue) => {
    const pace = paces.get(queue) ?? new Pace(NUDGE_PERIOD_MS, () => tell(queue));
    paces.set(queue, pace);
    pace.ask();
  };
}
