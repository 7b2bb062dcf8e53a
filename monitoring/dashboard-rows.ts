/** What the dashboard shows: rows of panels with their queries. dashboard.ts makes of it what Grafana reads. */
export interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

export interface Panel {
  readonly title: string;
  /** As Grafana names it. Default: short, a plain number. */
  readonly unit?: "short" | "s" | "bytes" | "ops" | "percentunit" | "bool";
  readonly queries: readonly Query[];
}

export interface Query {
  readonly expr: string;
  /** With Grafana's `{{label}}`. */
  readonly legend: string;
}

/** Those of the deployment that is looked at. */
const OF_JOB = 'job="$job"';

function of(metric: string, matchers = ""): string {
  return `${metric}{${OF_JOB}${matchers && `, ${matchers}`}}`;
}

/** Values of each coordinator, by the name it goes by. */
function each(metric: string): Query {
  return {
    expr: `${of(metric)} * on (job, instance) group_left (node) ${of("gearmesh_node_info")}`,
    legend: "{{node}}",
  };
}

function sum(metric: string, by: string, legend = `{{${by}}}`): Query {
  return { expr: `sum by (${by}) (${of(metric)})`, legend };
}

/** All coordinators together. */
function total(metric: string, legend: string): Query {
  return { expr: `sum(${of(metric)})`, legend };
}

function rate(metric: string, by: string, { legend = labelsOf(by), matchers = "" } = {}): Query {
  return { expr: `sum by (${by}) (rate(${of(metric, matchers)}[$__rate_interval]))`, legend };
}

function totalRate(metric: string, legend: string): Query {
  return { expr: `sum(rate(${of(metric)}[$__rate_interval]))`, legend };
}

function quantile(q: number, metric: string, by: string, matchers = ""): Query {
  const buckets = `rate(${of(`${metric}_bucket`, matchers)}[$__rate_interval])`;
  const labels = [...by.split(", ").filter((label) => label !== ""), "le"].join(", ");
  return {
    expr: `histogram_quantile(${q}, sum by (${labels}) (${buckets}))`,
    legend: `p${q * 100} ${labelsOf(by)}`.trim(),
  };
}

function labelsOf(by: string): string {
  return by
    .split(", ")
    .filter((label) => label !== "")
    .map((label) => `{{${label}}}`)
    .join(" ");
}

/** Median and tail of a histogram. */
function latencies(title: string, metric: string, by = "", matchers = ""): Panel {
  return { title, unit: "s", queries: [quantile(0.5, metric, by, matchers), quantile(0.99, metric, by, matchers)] };
}

const CLIENTS = 'door="client"';
const PEERS = 'door="mesh"';

export const ROWS: readonly Row[] = [
  {
    title: "Overview",
    panels: [
      {
        title: "Slots that are served (all: 16384)",
        queries: [total("gearmesh_slots", "slots"), each("gearmesh_slots")],
      },
      { title: "Scraped", unit: "bool", queries: [{ expr: of("up"), legend: "{{instance}}" }] },
      { title: "Ready", unit: "bool", queries: [each("gearmesh_ready")] },
      { title: "Active (answers for its shard)", unit: "bool", queries: [each("gearmesh_active")] },
      { title: "Ownership confirmed", unit: "bool", queries: [each("gearmesh_ownership_lease")] },
      { title: "Redis reached", unit: "bool", queries: [each("gearmesh_redis_up")] },
      { title: "Sandbox process runs", unit: "bool", queries: [each("gearmesh_sandbox_up")] },
      {
        title: "Coordinators by version",
        queries: [{ expr: `count by (version) (${of("gearmesh_build_info")})`, legend: "{{version}}" }],
      },
    ],
  },
  {
    title: "Clients",
    panels: [
      {
        title: "gRPC calls that arrive",
        unit: "ops",
        queries: [rate("grpc_server_started_total", "grpc_service, grpc_method")],
      },
      { title: "gRPC calls by status", unit: "ops", queries: [rate("grpc_server_handled_total", "grpc_code")] },
      latencies("gRPC calls, unary", "grpc_server_handling_seconds", "grpc_method", 'grpc_type="unary"'),
      {
        title: "Requests within streams",
        unit: "ops",
        queries: [rate("gearmesh_stream_requests_total", "method", { matchers: CLIENTS })],
      },
      {
        title: "Requests within streams by code",
        unit: "ops",
        queries: [rate("gearmesh_stream_requests_total", "code", { matchers: CLIENTS })],
      },
      latencies("Requests within streams", "gearmesh_stream_request_seconds", "method", CLIENTS),
      { title: "Refused at which door", unit: "ops", queries: [rate("gearmesh_auth_failures_total", "door")] },
      { title: "Refused for which reason", unit: "ops", queries: [rate("gearmesh_auth_failures_total", "reason")] },
      {
        title: "Tokens and certificates replaced",
        unit: "ops",
        queries: [rate("gearmesh_secret_reloads_total", "result")],
      },
      {
        title: "Certificates end in",
        unit: "s",
        queries: [
          { expr: `(${of("gearmesh_tls_certificate_expiry_timestamp_seconds")} > 0) - time()`, legend: "{{instance}}" },
        ],
      },
    ],
  },
  {
    title: "Functions",
    panels: [
      { title: "Runs", unit: "ops", queries: [rate("gearmesh_calls_total", "kind")] },
      { title: "Runs by code", unit: "ops", queries: [rate("gearmesh_calls_total", "code")] },
      latencies("Runs", "gearmesh_call_seconds", "kind"),
      { title: "Runs in flight", queries: [sum("gearmesh_calls_in_flight", "instance")] },
      {
        title: "Calls made again, since a slot moved",
        unit: "ops",
        queries: [rate("gearmesh_redirected_calls_total", "by")],
      },
      { title: "Libraries", queries: [each("gearmesh_libraries"), each("gearmesh_libraries_quarantined")] },
      {
        title: "Memory of the sandbox process",
        unit: "bytes",
        queries: [each("gearmesh_sandbox_resident_memory_bytes")],
      },
      {
        title: "Sandbox processes replaced",
        unit: "ops",
        queries: [rate("gearmesh_sandbox_restarts_total", "instance")],
      },
    ],
  },
  {
    title: "Topology and links",
    panels: [
      {
        title: "Different topologies (should be 1)",
        queries: [
          { expr: `count(count_values("fingerprint", ${of("gearmesh_topology_fingerprint")}))`, legend: "topologies" },
        ],
      },
      { title: "Topologies seen", queries: [each("gearmesh_topology_version")] },
      { title: "Masters known", queries: [each("gearmesh_shards")] },
      {
        title: "Readings of the topology",
        unit: "ops",
        queries: [rate("gearmesh_topology_refreshes_total", "cause, result")],
      },
      { title: "Links by state", queries: [sum("gearmesh_links", "state")] },
      { title: "Links lost", unit: "ops", queries: [rate("gearmesh_link_lost_total", "instance")] },
      latencies("Round trip between coordinators", "gearmesh_link_round_trip_seconds", "instance"),
      { title: "Requests to peers in flight", queries: [each("gearmesh_link_in_flight")] },
      {
        title: "Requests to peers that wait to be sent",
        unit: "bytes",
        queries: [each("gearmesh_link_waiting_bytes")],
      },
      {
        title: "Requests of peers",
        unit: "ops",
        queries: [rate("gearmesh_stream_requests_total", "method", { matchers: PEERS })],
      },
      {
        title: "Requests of peers by code",
        unit: "ops",
        queries: [rate("gearmesh_stream_requests_total", "code", { matchers: PEERS })],
      },
      latencies("Requests of peers", "gearmesh_stream_request_seconds", "method", PEERS),
    ],
  },
  {
    title: "RPC and connections",
    panels: [
      { title: "RPC methods by code", unit: "ops", queries: [rate("gearmesh_rpc_total", "code")] },
      latencies("RPC methods", "gearmesh_rpc_seconds"),
      {
        title: "RPC methods under way",
        queries: [total("gearmesh_rpc_in_flight", "run"), total("gearmesh_rpc_pending", "are waited for")],
      },
      { title: "RPC methods of clients", queries: [each("gearmesh_rpc_registered_methods")] },
      { title: "Connections", queries: [sum("gearmesh_connections", "state")] },
      { title: "Connections opened", unit: "ops", queries: [rate("gearmesh_connections_opened_total", "kind")] },
      { title: "Connections closed", unit: "ops", queries: [rate("gearmesh_connections_closed_total", "reason")] },
      { title: "Messages kept for clients", queries: [each("gearmesh_connection_deliveries")] },
    ],
  },
  {
    title: "Rooms",
    panels: [
      {
        title: "What connections do with rooms",
        unit: "ops",
        queries: [rate("gearmesh_room_requests_total", "method, code")],
      },
      latencies("What connections do with rooms", "gearmesh_room_seconds", "method"),
      {
        title: "Messages",
        unit: "ops",
        queries: [
          totalRate("gearmesh_room_messages_total", "said"),
          totalRate("gearmesh_room_deliveries_total", "queued"),
        ],
      },
      {
        title: "Rooms",
        queries: [
          total("gearmesh_rooms_held", "held, each counted at each of its coordinators"),
          total("gearmesh_room_members", "members"),
          total("gearmesh_room_watches", "watches"),
        ],
      },
    ],
  },
  {
    title: "Pub/sub",
    panels: [
      {
        title: "Messages",
        unit: "ops",
        queries: [
          totalRate("gearmesh_pubsub_published_total", "published"),
          totalRate("gearmesh_pubsub_received_total", "received from peers"),
          totalRate("gearmesh_pubsub_delivered_total", "delivered"),
        ],
      },
      {
        title: "Messages that did not arrive",
        unit: "ops",
        queries: [
          totalRate("gearmesh_pubsub_missed_total", "missed by subscribers"),
          totalRate("gearmesh_pubsub_unreached_total", "peers not reached"),
        ],
      },
      {
        title: "Subscriptions",
        queries: [
          total("gearmesh_pubsub_subscriptions", "subscriptions"),
          total("gearmesh_pubsub_types", "types"),
          total("gearmesh_pubsub_peer_types", "types of peers"),
        ],
      },
      { title: "Messages that wait for subscribers", unit: "bytes", queries: [each("gearmesh_pubsub_queued_bytes")] },
    ],
  },
  {
    title: "Cache",
    panels: [
      { title: "Requests", unit: "ops", queries: [rate("gearmesh_cache_requests_total", "method, code")] },
      latencies("Requests", "gearmesh_cache_seconds", "method"),
      { title: "Loads", unit: "ops", queries: [rate("gearmesh_cache_loads_total", "result")] },
      {
        title: "Locks",
        queries: [
          total("gearmesh_cache_waiting", "callers that wait"),
          total("gearmesh_cache_stream_locks", "locks held by streams"),
        ],
      },
    ],
  },
  {
    title: "Storage",
    panels: [
      { title: "Requests", unit: "ops", queries: [rate("gearmesh_storage_requests_total", "method, code")] },
      latencies("Requests", "gearmesh_storage_seconds", "method"),
      {
        title: "Watches",
        queries: [total("gearmesh_storage_watches", "watches"), total("gearmesh_storage_watched_keys", "keys watched")],
      },
      {
        title: "Changes that watchers missed",
        unit: "ops",
        queries: [rate("gearmesh_storage_missed_total", "instance")],
      },
      {
        title: "Leases",
        queries: [{ expr: `max(${of("gearmesh_storage_leases")})`, legend: "leases" }],
      },
      { title: "Leases that ended", unit: "ops", queries: [rate("gearmesh_storage_leases_ended_total", "how")] },
    ],
  },
  {
    title: "Tasks",
    panels: [
      { title: "Tasks in queues", queries: [sum("gearmesh_task_queue_tasks", "queue, state", "{{queue}} {{state}}")] },
      {
        title: "Tasks",
        unit: "ops",
        queries: [
          totalRate("gearmesh_tasks_enqueued_total", "enqueued"),
          rate("gearmesh_tasks_worked_total", "code", { legend: "worked {{code}}" }),
        ],
      },
      { title: "Tasks worked again", unit: "ops", queries: [rate("gearmesh_task_reruns_total", "cause")] },
      latencies("Attempts", "gearmesh_task_seconds"),
      latencies("Wait before an attempt", "gearmesh_task_wait_seconds"),
      {
        title: "Workers",
        queries: [
          total("gearmesh_task_workers", "places for library functions"),
          total("gearmesh_task_workers_busy", "busy"),
          total("gearmesh_task_external_workers", "external workers"),
        ],
      },
      {
        title: "Tasks under way",
        queries: [total("gearmesh_tasks_in_flight", "held"), total("gearmesh_tasks_awaited", "awaited")],
      },
    ],
  },
  {
    title: "Redis and processes",
    panels: [
      latencies("Round trip to Redis", "gearmesh_redis_round_trip_seconds", "connection"),
      { title: "Lag of the event loop, p99", unit: "s", queries: [each("nodejs_eventloop_lag_p99_seconds")] },
      { title: "CPU", unit: "percentunit", queries: [rate("process_cpu_seconds_total", "instance")] },
      { title: "Memory of the coordinator", unit: "bytes", queries: [each("process_resident_memory_bytes")] },
      {
        title: "Garbage collection",
        unit: "percentunit",
        queries: [rate("nodejs_gc_duration_seconds_sum", "instance, kind")],
      },
      { title: "Open files", queries: [each("process_open_fds")] },
    ],
  },
];
