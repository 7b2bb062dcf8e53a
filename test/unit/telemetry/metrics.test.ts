import test from "ava";
import { createMetrics, type MetricSources } from "../../../src/telemetry/metrics.ts";

const SOURCES: MetricSources = {
  links: () => ({ open: 2, connecting: 1 }),
  linkInFlight: () => 5,
  topologyVersion: () => 3,
  isActive: () => true,
  isOwner: () => false,
  libraries: () => 4,
  quarantinedLibraries: () => 0,
  connections: () => ({ attached: 0, away: 0 }),
  rpcPending: () => 0,
  registeredMethods: () => 0,
  rooms: () => ({ held: 0, members: 0, watches: 0 }),
  isRedisUp: () => false,
  pubSub: () => ({ subscriptions: 7, types: 8, peerTypes: 9 }),
};

test("sources are read at each scrape", async (t) => {
  let version = 1;
  const { registry } = createMetrics("0.0.0", { ...SOURCES, topologyVersion: () => version });
  t.regex(await registry.metrics(), /^gearmesh_topology_version 1$/m);
  version = 2;
  const text = await registry.metrics();
  t.regex(text, /^gearmesh_topology_version 2$/m);
  t.regex(text, /^gearmesh_links\{state="open"\} 2$/m);
  t.regex(text, /^gearmesh_link_in_flight 5$/m);
  t.regex(text, /^gearmesh_active 1$/m);
  t.regex(text, /^gearmesh_redis_up 0$/m);
  t.regex(text, /^gearmesh_build_info\{version="0\.0\.0",node_version="26\..*"\} 1$/m);
});

test("a run is counted by kind and code, and is in flight until it ends", async (t) => {
  const { registry, runs } = createMetrics("0.0.0", SOURCES);
  runs.started("function");
  runs.started("remote");
  runs.ended("remote", "MOVED", 0.0002);
  const text = await registry.metrics();
  t.regex(text, /^gearmesh_calls_in_flight\{kind="function"\} 1$/m);
  t.regex(text, /^gearmesh_calls_in_flight\{kind="remote"\} 0$/m);
  t.regex(text, /^gearmesh_calls_total\{kind="remote",code="MOVED"\} 1$/m);
  t.regex(text, /^gearmesh_call_seconds_bucket\{le="0.0001",kind="remote"\} 0$/m);
  t.regex(text, /^gearmesh_call_seconds_bucket\{le="0.00025",kind="remote"\} 1$/m);
});

test("gRPC calls use the standard names and labels", async (t) => {
  const { registry, rpcs } = createMetrics("0.0.0", SOURCES);
  const method = { type: "unary", service: "gearmesh.v1.FunctionService", method: "Call" } as const;
  rpcs.started(method);
  rpcs.handled(method, "NOT_FOUND", 0.01);
  const text = await registry.metrics();
  const labels = 'grpc_type="unary",grpc_service="gearmesh.v1.FunctionService",grpc_method="Call"';
  t.true(text.includes(`grpc_server_started_total{${labels}} 1`));
  t.true(text.includes(`grpc_server_handled_total{${labels},grpc_code="NOT_FOUND"} 1`));
  t.true(text.includes(`grpc_server_handling_seconds_count{${labels}} 1`));
});

test("events are counted, and failures of authentication stand at zero from the start", async (t) => {
  const { registry, links, auth, topology, sandbox } = createMetrics("0.0.0", SOURCES);
  t.regex(await registry.metrics(), /^gearmesh_auth_failures_total\{door="mesh"\} 0$/m);
  links.lost();
  auth.failed("mesh");
  auth.failed("client");
  auth.failed("client");
  topology.refreshed("moved", "changed");
  sandbox.restarted();
  sandbox.memory(5e7);
  const text = await registry.metrics();
  t.regex(text, /^gearmesh_link_lost_total 1$/m);
  t.regex(text, /^gearmesh_auth_failures_total\{door="mesh"\} 1$/m);
  t.regex(text, /^gearmesh_auth_failures_total\{door="client"\} 2$/m);
  t.regex(text, /^gearmesh_topology_refreshes_total\{cause="moved",result="changed"\} 1$/m);
  t.regex(text, /^gearmesh_sandbox_restarts_total 1$/m);
  t.regex(text, /^gearmesh_sandbox_resident_memory_bytes 50000000$/m);
});

test("what pub/sub counts is told at each scrape", async (t) => {
  const { registry, pubSub } = createMetrics("0.0.0", SOURCES);
  pubSub.published();
  pubSub.received();
  pubSub.delivered(3);
  pubSub.missed(2);
  pubSub.unreached();
  await registry.metrics();
  pubSub.delivered(1);
  const text = await registry.metrics();
  const values = { subscriptions: 7, types: 8, peer_types: 9, published_total: 1, received_total: 1 };
  for (const [name, value] of Object.entries({ ...values, delivered_total: 4, missed_total: 2, unreached_total: 1 })) {
    t.true(text.includes(`\ngearmesh_pubsub_${name} ${value}\n`), name);
  }
});

test("two registries share nothing, and only counters end in _total", async (t) => {
  const one = createMetrics("0.0.0", SOURCES);
  const two = createMetrics("0.0.0", SOURCES);
  one.links.lost();
  t.regex(await two.registry.metrics(), /^gearmesh_link_lost_total 0$/m);
  const misnamed = [...(await one.registry.metrics()).matchAll(/^# TYPE (\S+_total) (?!counter)/gm)];
  t.deepEqual(misnamed, []);
});
