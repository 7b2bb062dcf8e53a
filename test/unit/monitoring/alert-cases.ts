/** Values of series by the series' name and labels, one a minute, as promtool writes them. */
type Series = Readonly<Record<string, string>>;

/** One alert: what makes it fire, and what comes close and leaves it silent. */
export interface AlertCase {
  readonly fires: Series;
  readonly silent: Series;
  /** What else makes it fire, with the same labels, where its expression has another part for that. */
  readonly alsoFires?: readonly Series[];
  /** What else comes close: each matcher of the expression that keeps something out is tried. */
  readonly alsoSilent?: readonly Series[];
  /** Of the alert that fires, its severity left out. */
  readonly labels: Readonly<Record<string, string>>;
}

/** Minutes that the series go on. */
export const MINUTES = 100;

const JOB = { job: "gearmesh" };
const ONE = { ...JOB, instance: "a" };
const OTHER = { ...JOB, instance: "b" };
const CALL = { grpc_type: "unary", grpc_service: "gearmesh.v1.FunctionService", grpc_method: "Call" };

function series(name: string, labels: object): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return `${name}{${pairs.join(",")}}`;
}

/** The same value all the time. */
function constant(value: number): string {
  return `${value}x${MINUTES}`;
}

/** A counter that grows by so much a minute. */
function growing(perMinute: number): string {
  return `0+${perMinute}x${MINUTES}`;
}

/** A gauge that is one value and should be another. */
function gauge(name: string, bad: number, good: number, labels: object = {}): AlertCase {
  const one = series(name, { ...ONE, ...labels });
  return { fires: { [one]: constant(bad) }, silent: { [one]: constant(good) }, labels: { ...ONE, ...labels } };
}

/** A gauge that all coordinators should have the same value of. */
function differing(name: string): AlertCase {
  const [one, other] = [series(name, ONE), series(name, OTHER)];
  return {
    fires: { [one]: constant(3), [other]: constant(4) },
    silent: { [one]: constant(4), [other]: constant(4) },
    labels: JOB,
  };
}

/** A counter that grows faster than it should. Unit: a minute. */
function counter(name: string, bad: number, good: number, labels: object = {}, of: object = ONE): AlertCase {
  const one = series(name, { ...ONE, ...labels });
  const shown = Object.entries({ ...ONE, ...labels }).filter(([label]) => label in of);
  return { fires: { [one]: growing(bad) }, silent: { [one]: growing(good) }, labels: Object.fromEntries(shown) };
}

/** A counter of which one kind should be a small part of all. Unit: a minute. */
function share(name: string, failed: object, fine: object): AlertCase {
  const [bad, good] = [series(name, { ...ONE, ...failed }), series(name, { ...ONE, ...fine })];
  return {
    fires: { [bad]: growing(20), [good]: growing(80) },
    silent: { [bad]: growing(1), [good]: growing(99) },
    labels: JOB,
  };
}

/** A histogram whose slow observations should be few: they are more than 2.5 s, where the quantile is interpolated. */
function slow(name: string, labels: object, shown: object, slowest = 2.5): AlertCase {
  const bucket = (le: string) => series(`${name}_bucket`, { ...ONE, ...labels, le });
  const buckets = (fast: number) => ({
    [bucket("0.01")]: growing(fast),
    [bucket(String(slowest))]: growing(100),
    [bucket("+Inf")]: growing(100),
  });
  return { fires: buckets(50), silent: buckets(100), labels: { ...JOB, ...shown } };
}

/** A counter of which another label's value may grow as it likes. */
function others(name: string, ...kinds: readonly object[]): readonly Series[] {
  return kinds.map((kind) => ({ [series(name, { ...ONE, ...kind })]: growing(1000) }));
}

/** By the alert's name. */
export const ALERT_CASES: Readonly<Record<string, AlertCase>> = {
  GearmeshDown: {
    fires: { [series("up", { job: "cache/gearmesh", instance: "a" })]: constant(0) },
    // Of others' jobs it knows nothing.
    silent: { [series("up", ONE)]: constant(1), [series("up", { job: "not-gearmesh", instance: "a" })]: constant(0) },
    labels: { job: "cache/gearmesh", instance: "a" },
  },
  GearmeshNotReady: gauge("gearmesh_ready", 0, 1),
  GearmeshSlotsUnserved: {
    fires: { [series("gearmesh_slots", ONE)]: constant(8192), [series("gearmesh_slots", OTHER)]: constant(0) },
    silent: { [series("gearmesh_slots", ONE)]: constant(8192), [series("gearmesh_slots", OTHER)]: constant(8192) },
    labels: JOB,
  },
  GearmeshSlotsServedTwice: {
    fires: { [series("gearmesh_slots", ONE)]: constant(8192), [series("gearmesh_slots", OTHER)]: constant(8193) },
    silent: { [series("gearmesh_slots", ONE)]: constant(8192), [series("gearmesh_slots", OTHER)]: constant(8192) },
    labels: JOB,
  },
  GearmeshRedisDown: gauge("gearmesh_redis_up", 0, 1),
  GearmeshOwnershipLost: {
    fires: { [series("gearmesh_active", ONE)]: constant(1), [series("gearmesh_ownership_lease", ONE)]: constant(0) },
    // One that stands by needs no lease.
    silent: { [series("gearmesh_active", ONE)]: constant(0), [series("gearmesh_ownership_lease", ONE)]: constant(0) },
    alsoSilent: [
      { [series("gearmesh_active", ONE)]: constant(1), [series("gearmesh_ownership_lease", ONE)]: constant(1) },
    ],
    labels: ONE,
  },
  GearmeshSandboxDown: gauge("gearmesh_sandbox_up", 0, 1),
  GearmeshLinkDown: {
    ...gauge("gearmesh_links", 1, 0, { state: "connecting" }),
    alsoSilent: [{ [series("gearmesh_links", { ...ONE, state: "open" })]: constant(5) }],
  },
  GearmeshLinksBreak: counter("gearmesh_link_lost_total", 1, 0.2),
  GearmeshLinkSlow: slow("gearmesh_link_round_trip_seconds", {}, { instance: "a" }),
  GearmeshTopologyDiffers: differing("gearmesh_topology_fingerprint"),
  GearmeshTopologyUnread: {
    ...counter("gearmesh_topology_refreshes_total", 2, 0.5, { cause: "interval", result: "failed" }),
    alsoSilent: others(
      "gearmesh_topology_refreshes_total",
      { cause: "interval", result: "same" },
      { cause: "moved", result: "changed" },
    ),
  },
  GearmeshCallsRedirected: counter("gearmesh_redirected_calls_total", 90, 30, { by: "moved" }),
  GearmeshAuthFailures: counter("gearmesh_auth_failures_total", 3, 1, { door: "mesh" }, { job: "", door: "" }),
  GearmeshSecretsRefused: {
    ...counter("gearmesh_secret_reloads_total", 1, 0, { result: "refused" }),
    alsoSilent: others("gearmesh_secret_reloads_total", { result: "changed" }),
    labels: ONE,
  },
  GearmeshCertificateEnds: {
    ...gauge("gearmesh_tls_certificate_expiry_timestamp_seconds", 5 * 86_400, 30 * 86_400),
    // Without TLS there is none that could end.
    alsoSilent: [{ [series("gearmesh_tls_certificate_expiry_timestamp_seconds", ONE)]: constant(0) }],
  },
  GearmeshVersionsDiffer: {
    fires: {
      [series("gearmesh_build_info", { ...ONE, version: "1.0.0" })]: constant(1),
      [series("gearmesh_build_info", { ...OTHER, version: "1.1.0" })]: constant(1),
    },
    silent: {
      [series("gearmesh_build_info", { ...ONE, version: "1.1.0" })]: constant(1),
      [series("gearmesh_build_info", { ...OTHER, version: "1.1.0" })]: constant(1),
    },
    labels: JOB,
  },
  GearmeshBug: {
    ...counter("gearmesh_stream_requests_total", 1, 0, { door: "client", method: "CALL", code: "INTERNAL" }),
    alsoFires: [{ [series("grpc_server_handled_total", { ...ONE, ...CALL, grpc_code: "INTERNAL" })]: growing(1) }],
    alsoSilent: [
      ...others("gearmesh_stream_requests_total", { door: "client", method: "CALL", code: "FUNCTION_FAILED" }),
      ...others(
        "grpc_server_handled_total",
        { ...CALL, grpc_code: "UNKNOWN" },
        { ...CALL, grpc_service: "grpc.reflection.v1.ServerReflection", grpc_code: "INTERNAL" },
      ),
    ],
  },
  GearmeshStreamRequestsFail: {
    ...share(
      "gearmesh_stream_requests_total",
      { door: "client", method: "CALL", code: "UNAVAILABLE" },
      { door: "client", method: "CALL", code: "OK" },
    ),
    alsoFires: ["INDETERMINATE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"].map((code) => ({
      [series("gearmesh_stream_requests_total", { ...ONE, door: "client", method: "CALL", code })]: growing(1),
    })),
    // What a library or its caller does wrong, and what is counted at the client's door already.
    alsoSilent: others(
      "gearmesh_stream_requests_total",
      { door: "client", method: "CALL", code: "FUNCTION_FAILED" },
      { door: "mesh", method: "RUN_REMOTE", code: "UNAVAILABLE" },
    ),
  },
  GearmeshGrpcCallsFail: {
    ...share("grpc_server_handled_total", { ...CALL, grpc_code: "UNAVAILABLE" }, { ...CALL, grpc_code: "OK" }),
    alsoFires: ["UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL"].map((code) => ({
      [series("grpc_server_handled_total", { ...ONE, ...CALL, grpc_code: code })]: growing(1),
    })),
    alsoSilent: others(
      "grpc_server_handled_total",
      { ...CALL, grpc_code: "NOT_FOUND" },
      { ...CALL, grpc_type: "bidi_stream", grpc_method: "CallStream", grpc_code: "UNAVAILABLE" },
      { ...CALL, grpc_service: "grpc.health.v1.Health", grpc_code: "UNAVAILABLE" },
    ),
  },
  GearmeshOverloaded: {
    ...counter("gearmesh_stream_requests_total", 90, 30, {
      door: "client",
      method: "CALL",
      code: "RESOURCE_EXHAUSTED",
    }),
    alsoSilent: others("gearmesh_stream_requests_total", { door: "client", method: "CALL", code: "OK" }),
  },
  GearmeshFunctionsSlow: {
    ...slow("gearmesh_call_seconds", { kind: "remote" }, { kind: "remote" }),
    // A task may take as long as it takes.
    alsoSilent: [slow("gearmesh_call_seconds", { kind: "task" }, {}).fires],
  },
  GearmeshRedisSlow: {
    ...slow("gearmesh_redis_round_trip_seconds", { connection: "control" }, { instance: "a" }),
    // Those that wait for a replica take as long as it does.
    alsoSilent: [slow("gearmesh_redis_round_trip_seconds", { connection: "storage" }, {}).fires],
  },
  GearmeshEventLoopBusy: {
    fires: {
      [series("nodejs_eventloop_lag_p99_seconds", ONE)]: constant(0.7),
      [series("gearmesh_build_info", { ...ONE, version: "1.0.0" })]: constant(1),
    },
    // Of other programs it knows nothing.
    silent: { [series("nodejs_eventloop_lag_p99_seconds", ONE)]: constant(0.7) },
    alsoSilent: [
      {
        [series("nodejs_eventloop_lag_p99_seconds", ONE)]: constant(0.4),
        [series("gearmesh_build_info", { ...ONE, version: "1.0.0" })]: constant(1),
      },
    ],
    labels: ONE,
  },
  GearmeshLibrariesDiffer: differing("gearmesh_libraries"),
  GearmeshLibraryQuarantined: gauge("gearmesh_libraries_quarantined", 1, 0),
  GearmeshSandboxRestarts: counter("gearmesh_sandbox_restarts_total", 0.5, 0.1),
  GearmeshTasksWait: {
    fires: { [series("gearmesh_task_queue_tasks", { ...ONE, queue: "default", state: "waiting" })]: constant(1001) },
    silent: { [series("gearmesh_task_queue_tasks", { ...ONE, queue: "default", state: "delayed" })]: constant(1001) },
    alsoSilent: [
      { [series("gearmesh_task_queue_tasks", { ...ONE, queue: "default", state: "waiting" })]: constant(1000) },
    ],
    labels: { ...JOB, queue: "default" },
  },
  GearmeshTasksFail: share("gearmesh_tasks_worked_total", { code: "TASK_FAILED" }, { code: "OK" }),
  GearmeshTasksRerun: {
    fires: { [series("gearmesh_task_reruns_total", { ...ONE, cause: "lease-over" })]: growing(2) },
    // A coordinator that leaves hands back what it holds.
    silent: { [series("gearmesh_task_reruns_total", { ...ONE, cause: "handed-back" })]: growing(2) },
    alsoSilent: [{ [series("gearmesh_task_reruns_total", { ...ONE, cause: "lease-over" })]: growing(0.5) }],
    labels: { ...JOB, cause: "lease-over" },
  },
  GearmeshMessagesMissed: counter("gearmesh_pubsub_missed_total", 90, 30),
  GearmeshSubscribersUnreached: counter("gearmesh_pubsub_unreached_total", 2, 0.5),
  GearmeshStorageUnconfirmed: {
    ...counter("gearmesh_storage_requests_total", 1, 0.1, { code: "INDETERMINATE" }, JOB),
    alsoSilent: others("gearmesh_storage_requests_total", { code: "OK" }),
  },
  GearmeshConnectionsExpire: {
    ...counter("gearmesh_connections_closed_total", 20, 5, { reason: "expired" }, JOB),
    alsoSilent: others("gearmesh_connections_closed_total", { reason: "quit" }),
  },
};
