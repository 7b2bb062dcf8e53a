import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import type { RedirectionKind } from "../functions/shards.ts";
import type { PubSubCounts } from "../pubsub/pubsub-parts.ts";
import type { TaskObserver } from "../tasks/task-ports.ts";
import type { RefreshCause } from "../topology/live-topology.ts";
import { askedGauges } from "./asked-gauges.ts";
import { type AuthRecorder, authRecorder } from "./auth-metrics.ts";
import { type CacheRecorder, type CacheSources, cacheRecorder, watchCacheSources } from "./cache-metrics.ts";
import { type NodeSources, watchNodeSources } from "./node-metrics.ts";
import { type PubSubRecorder, pubSubRecorder } from "./pubsub-metrics.ts";
import { type RoomRecorder, type RoomSources, roomRecorder, watchRoomSources } from "./room-metrics.ts";
import { type RoundTripRecorder, roundTripRecorder } from "./round-trip-metrics.ts";
import {
  type ConnectionRecorder,
  connectionRecorder,
  type MethodRecorder,
  methodRecorder,
  type RpcSources,
  watchRpcSources,
} from "./rpc-metrics.ts";
import { type StorageRecorder, type StorageSources, storageRecorder, watchStorageSources } from "./storage-metrics.ts";
import { type StreamRecorder, streamRecorder } from "./stream-metrics.ts";
import { TalliedHistogram } from "./tallied-histogram.ts";
import { type TaskSources, taskRecorder, watchTaskSources } from "./task-metrics.ts";

/** A run of a function called from outside, of a remote one, of an RPC method, of a task, or of what runs around tasks. */
type RunKind = "function" | "remote" | "method" | "task" | "middleware";

/** How many runs began and how they ended. */
export interface RunRecorder {
  started(kind: RunKind): void;
  ended(kind: RunKind, code: FaultCode | "OK", seconds: number): void;
}

/** The names that the metrics of every gRPC server use, so that common dashboards fit. */
export interface RpcRecorder {
  started(method: RpcMethod): void;
  /** `code`: name of the gRPC status, for example NOT_FOUND. */
  handled(method: RpcMethod, code: string, seconds: number): void;
}

export interface RpcMethod {
  readonly type: "unary" | "client_stream" | "server_stream" | "bidi_stream";
  readonly service: string;
  /** `_OTHER` for one that does not exist: what a caller makes up must not become a label. */
  readonly method: string;
}

export interface LinkRecorder {
  /** An open link ended without being closed by plan. */
  lost(): void;
}

export interface TopologyRecorder {
  refreshed(cause: RefreshCause, result: "changed" | "same" | "failed"): void;
  /** A call goes on at another shard, or at the same one later. */
  redirected(by: RedirectionKind): void;
}

export interface SandboxRecorder {
  restarted(): void;
  /** Resident memory of the sandbox process, as it reported last. */
  memory(rssBytes: number): void;
}

/** What is asked at each scrape rather than told at each change. */
export interface MetricSources extends NodeSources, RpcSources, RoomSources, StorageSources, CacheSources, TaskSources {
  /** Links to other coordinators by state. */
  readonly links: () => Readonly<Record<"open" | "connecting", number>>;
  /** Requests that wait for their answer, over all links. */
  readonly linkInFlight: () => number;
  /** Of requests that have not been sent yet, over all links. */
  readonly linkWaitingBytes: () => number;
  readonly topologyVersion: () => number;
  readonly isActive: () => boolean;
  /** Whether this coordinator may answer for its shard, as far as the ownership lease goes. */
  readonly isOwner: () => boolean;
  readonly libraries: () => number;
  readonly quarantinedLibraries: () => number;
  readonly isRedisUp: () => boolean;
  readonly pubSub: () => PubSubCounts;
}

export interface Metrics {
  readonly runs: RunRecorder;
  readonly rpcs: RpcRecorder;
  readonly links: LinkRecorder;
  readonly auth: AuthRecorder;
  readonly topology: TopologyRecorder;
  readonly sandbox: SandboxRecorder;
  readonly methods: MethodRecorder;
  readonly connections: ConnectionRecorder;
  readonly pubSub: PubSubRecorder;
  readonly rooms: RoomRecorder;
  readonly storage: StorageRecorder;
  readonly cache: CacheRecorder;
  readonly tasks: TaskObserver;
  readonly streams: StreamRecorder;
  readonly roundTrips: RoundTripRecorder;
  readonly registry: Registry;
}

/** From 100 us, where a local call is, to 10 s, the default deadline. Unit: s. */
const LATENCY_BUCKETS = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** How often the event loop's lag is looked at: each look wakes the process. */
const LAG_RESOLUTION_MS = 50;

/** Gauges that Node's collectors call `_total`, a suffix that Prometheus keeps for counters. */
const MISNAMED = ["nodejs_active_handles_total", "nodejs_active_requests_total", "nodejs_active_resources_total"];

/** Makes every metric of a coordinator, in a registry of its own: several coordinators may share a process in a test. */
export function createMetrics(version: string, sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_RESOLUTION_MS });
  for (const name of MISNAMED) registry.removeSingleMetric(name);

  new Gauge({
    registers,
    name: "gearmesh_build_info",
    help: "Always 1; the labels say what runs.",
    labelNames: ["version", "node_version"],
  })
    .labels(version, process.versions.node)
    .set(1);
  watchNodeSources(registers, sources);
  watchSources(registers, sources);
  watchRpcSources(registers, sources);
  watchRoomSources(registers, sources);
  watchStorageSources(registers, sources);
  watchCacheSources(registers, sources);
  watchTaskSources(registers, sources);
  return {
    registry,
    runs: runRecorder(registers),
    rpcs: rpcRecorder(registers),
    links: linkRecorder(registers),
    auth: authRecorder(registers),
    topology: topologyRecorder(registers),
    sandbox: sandboxRecorder(registers),
    methods: methodRecorder(registers),
    connections: connectionRecorder(registers),
    pubSub: pubSubRecorder(registers, sources.pubSub),
    rooms: roomRecorder(registers),
    storage: storageRecorder(registers),
    cache: cacheRecorder(registers),
    tasks: taskRecorder(registers),
    streams: streamRecorder(registers),
    roundTrips: roundTripRecorder(registers),
  };
}

function watchSources(registers: Registry[], sources: MetricSources): void {
  new Gauge({
    registers,
    name: "gearmesh_links",
    help: "Links to other coordinators, by state. `connecting` above 0 for long: a shard is cut off from this one.",
    labelNames: ["state"],
    collect() {
      for (const [state, count] of Object.entries(sources.links())) this.labels(state).set(count);
    },
  });
  const gauge = askedGauges(registers);
  gauge("gearmesh_link_in_flight", "Requests to other coordinators that wait for their answer.", sources.linkInFlight);
  gauge(
    "gearmesh_link_waiting_bytes",
    "Bytes of requests to other coordinators that have not been sent yet, since those do not read fast enough. Close to linkMaxInFlightBytes: more are about to be refused.",
    sources.linkWaitingBytes,
  );
  gauge(
    "gearmesh_topology_version",
    "How many different topologies this coordinator has seen since it started. Says nothing between coordinators.",
    sources.topologyVersion,
  );
  gauge(
    "gearmesh_active",
    "1 while the coordinator answers for its shard, 0 while it stands by. A shard for which no coordinator shows 1 is not served.",
    () => Number(sources.isActive()),
  );
  gauge(
    "gearmesh_ownership_lease",
    "1 while a majority of the masters' coordinators confirms what this shard owns, or where no lease is needed. 0 beside gearmesh_active 1: the coordinator answers its calls with UNAVAILABLE, since it is cut off from the others, or another Redis has taken over its shard.",
    () => Number(sources.isOwner()),
  );
  gauge(
    "gearmesh_libraries",
    "Libraries that are loaded. Differs between coordinators for long: one of them missed a load.",
    sources.libraries,
  );
  gauge(
    "gearmesh_libraries_quarantined",
    "Library versions whose calls are refused here, since they kept ending the sandbox process. Not 0: mend the library and load it anew.",
    sources.quarantinedLibraries,
  );
  gauge("gearmesh_redis_up", "1 while this coordinator's Redis answers.", () => Number(sources.isRedisUp()));
}

/** Counts in plain numbers and tells them at each scrape: to find a metric's child by its labels, for every run, costs more than to count. */
function runRecorder(registers: Registry[]): RunRecorder {
  const seconds = new TalliedHistogram({
    registers,
    name: "gearmesh_call_seconds",
    help: "Time from admission to result of each run of a function on this shard.",
    labelNames: ["kind"],
    buckets: LATENCY_BUCKETS,
  });
  const count = (kind: RunKind) => ({
    inFlight: 0,
    /** Since the last scrape. */
    ended: new Map<FaultCode | "OK", number>(),
    observe: seconds.of({ kind }),
  });
  const counts: Readonly<Record<RunKind, ReturnType<typeof count>>> = {
    function: count("function"),
    remote: count("remote"),
    method: count("method"),
    task: count("task"),
    middleware: count("middleware"),
  };
  new Counter({
    registers,
    name: "gearmesh_calls_total",
    help: "Runs of functions on this shard that ended, by kind (function: called from outside; remote: called by another function; method: an RPC method of a library; task, middleware: a task of a library, and what runs around tasks) and by code: OK, or one of docs/ERRORS.md.",
    labelNames: ["kind", "code"],
    collect() {
      for (const [kind, { ended }] of Object.entries(counts)) {
        for (const [code, runs] of ended) this.inc({ kind, code }, runs);
        ended.clear();
      }
    },
  });
  new Gauge({
    registers,
    name: "gearmesh_calls_in_flight",
    help: "Runs of functions on this shard that have not ended. Close to maxCalls: more are about to be refused.",
    labelNames: ["kind"],
    collect() {
      for (const [kind, { inFlight }] of Object.entries(counts)) this.set({ kind }, inFlight);
    },
  });
  return {
    started: (kind) => {
      counts[kind].inFlight++;
    },
    ended: (kind, code, duration) => {
      const counted = counts[kind];
      counted.inFlight--;
      counted.ended.set(code, (counted.ended.get(code) ?? 0) + 1);
      counted.observe(duration);
    },
  };
}

function rpcRecorder(registers: Registry[]): RpcRecorder {
  const labelNames = ["grpc_type", "grpc_service", "grpc_method"] as const;
  const started = new Counter({
    registers,
    name: "grpc_server_started_total",
    help: "gRPC calls that arrived.",
    labelNames,
  });
  const handled = new Counter({
    registers,
    name: "grpc_server_handled_total",
    help: "gRPC calls that ended, by status.",
    labelNames: [...labelNames, "grpc_code"],
  });
  const seconds = new Histogram({
    registers,
    name: "grpc_server_handling_seconds",
    help: "Time from arrival to end of each gRPC call; of a stream, how long it lived.",
    labelNames,
    buckets: LATENCY_BUCKETS,
  });
  const labels = ({ type, service, method }: RpcMethod) => ({
    grpc_type: type,
    grpc_service: service,
    grpc_method: method,
  });
  return {
    started: (method) => started.inc(labels(method)),
    handled: (method, code, duration) => {
      handled.inc({ ...labels(method), grpc_code: code });
      seconds.observe(labels(method), duration);
    },
  };
}

function linkRecorder(registers: Registry[]): LinkRecorder {
  const lost = new Counter({
    registers,
    name: "gearmesh_link_lost_total",
    help: "Open links to other coordinators that broke. Their calls ended with UNAVAILABLE or INDETERMINATE.",
  });
  return { lost: () => lost.inc() };
}

function topologyRecorder(registers: Registry[]): TopologyRecorder {
  const refreshes = new Counter({
    registers,
    name: "gearmesh_topology_refreshes_total",
    help: "Readings of the topology, by cause and by result (changed, same or failed).",
    labelNames: ["cause", "result"],
  });
  const redirections = new Counter({
    registers,
    name: "gearmesh_redirected_calls_total",
    help: "Attempts of this coordinator's calls that came back because their slot had moved (moved), was on its way (ask) or had arrived in part only (tryagain), and were made again. Growing while no slots move: the coordinators do not agree who owns what.",
    labelNames: ["by"],
  });
  for (const by of ["moved", "ask", "tryagain"]) redirections.inc({ by }, 0);
  return {
    refreshed: (cause, result) => refreshes.inc({ cause, result }),
    redirected: (by) => redirections.inc({ by }),
  };
}

function sandboxRecorder(registers: Registry[]): SandboxRecorder {
  const restarts = new Counter({
    registers,
    name: "gearmesh_sandbox_restarts_total",
    help: "How often the sandbox process was replaced. Growing: a library kills it, the log says which.",
  });
  const memory = new Gauge({
    registers,
    name: "gearmesh_sandbox_resident_memory_bytes",
    help: "Resident memory of the sandbox process, which the process_ metrics leave out. 0 until it first reported.",
  });
  return { restarted: () => restarts.inc(), memory: (rssBytes) => memory.set(rssBytes) };
}
