import test from "ava";
import { Histogram, Registry } from "prom-client";
import { METHOD } from "../../../src/mesh/method.ts";
import { IDLE_SOURCES } from "../../../src/telemetry/metric-list.ts";
import { createMetrics, type MetricSources } from "../../../src/telemetry/metrics.ts";
import { TalliedHistogram } from "../../../src/telemetry/tallied-histogram.ts";

const SOURCES: MetricSources = {
  ...IDLE_SOURCES,
  links: () => ({ open: 2, connecting: 1 }),
  linkInFlight: () => 5,
  topologyVersion: () => 3,
  isActive: () => true,
  pubSub: () => ({ subscriptions: 7, types: 8, peerTypes: 9, queuedBytes: 10 }),
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
  t.regex(await registry.metrics(), /^gearmesh_auth_failures_total\{door="mesh",reason="proof"\} 0$/m);
  links.lost();
  auth.failed("mesh", "proof");
  auth.failed("client", "token");
  auth.failed("client", "token");
  auth.reloaded("refused");
  auth.certificate(1_800_000_000_000);
  topology.refreshed("moved", "changed");
  sandbox.restarted();
  sandbox.memory(5e7);
  const text = await registry.metrics();
  t.regex(text, /^gearmesh_link_lost_total 1$/m);
  t.regex(text, /^gearmesh_auth_failures_total\{door="mesh",reason="proof"\} 1$/m);
  t.regex(text, /^gearmesh_auth_failures_total\{door="client",reason="token"\} 2$/m);
  t.regex(text, /^gearmesh_secret_reloads_total\{result="refused"\} 1$/m);
  t.regex(text, /^gearmesh_tls_certificate_expiry_timestamp_seconds 1800000000$/m);
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
  const values = { subscriptions: 7, types: 8, peer_types: 9, queued_bytes: 10, published_total: 1, received_total: 1 };
  for (const [name, value] of Object.entries({ ...values, delivered_total: 4, missed_total: 2, unreached_total: 1 })) {
    t.true(text.includes(`\ngearmesh_pubsub_${name} ${value}\n`), name);
  }
});

test("a tallied histogram shows what prom-client's own would", async (t) => {
  const buckets = [0.001, 0.01, 0.1];
  const facts = { name: "sample_seconds", help: "A sample.", labelNames: ["kind"], buckets } as const;
  const [own, theirs] = [new Registry(), new Registry()];
  const tallied = new TalliedHistogram({ ...facts, buckets, registers: [own] });
  const plain = new Histogram({ ...facts, buckets, registers: [theirs] });
  for (const kind of ["one", "other"]) {
    const observe = tallied.of({ kind });
    for (const value of [0, 0.001, 0.0011, 0.5, 0.1, 0.01, 7]) {
      observe(value);
      plain.observe({ kind }, value);
    }
  }
  t.is(await own.metrics(), await theirs.metrics());
  t.deepEqual((await own.getMetricsAsJSON())[0]?.type, (await theirs.getMetricsAsJSON())[0]?.type);
});

test("requests within streams are counted by door, method and code, and what no method is as one", async (t) => {
  const { registry, streams } = createMetrics("0.0.0", SOURCES);
  streams.settled("client", METHOD.CACHE_LOAD, "OK", 0.2);
  streams.settled("client", METHOD.CACHE_LOAD, "OK", 0.2);
  streams.settled("mesh", METHOD.RUN_REMOTE, "MOVED", 3);
  for (const method of [9999, 10_000]) streams.settled("client", method, "UNIMPLEMENTED", 0);
  await registry.metrics();
  streams.settled("client", METHOD.CACHE_LOAD, "OK", 0.2);
  const text = await registry.metrics();
  for (const line of [
    'requests_total{door="client",method="CACHE_LOAD",code="OK"} 3',
    'requests_total{door="mesh",method="RUN_REMOTE",code="MOVED"} 1',
    'requests_total{door="client",method="_OTHER",code="UNIMPLEMENTED"} 2',
    'request_seconds_bucket{le="0.0001",door="client",method="CACHE_LOAD"} 0',
    'request_seconds_bucket{le="0.00025",door="client",method="CACHE_LOAD"} 3',
    'request_seconds_count{door="mesh",method="RUN_REMOTE"} 1',
  ])
    t.true(text.includes(`\ngearmesh_stream_${line}\n`), line);
});

test("what the coordinator is now replaces what it was: its name, and the queues it measures", async (t) => {
  let name = "gearmesh-1";
  const depths = new Map([["default", { waiting: 4, delayed: 3, active: 2, failed: 1 }]]);
  const { registry } = createMetrics("0.0.0", {
    ...SOURCES,
    node: () => ({ ...SOURCES.node(), name, isReady: true, slots: 5461, topologyHash: "00000000000aff" }),
    tasks: () => ({ ...SOURCES.tasks(), depths }),
  });
  const first = await registry.metrics();
  t.regex(first, /^gearmesh_node_info\{node="gearmesh-1"\} 1$/m);
  t.regex(first, /^gearmesh_ready 1$/m);
  t.regex(first, /^gearmesh_slots 5461$/m);
  t.regex(first, /^gearmesh_topology_fingerprint 10$/m);
  t.regex(first, /^gearmesh_task_queue_tasks\{queue="default",state="waiting"\} 4$/m);
  name = "gearmesh-2";
  depths.clear();
  const second = await registry.metrics();
  t.regex(second, /^gearmesh_node_info\{node="gearmesh-2"\} 1$/m);
  t.notRegex(second, /node="gearmesh-1"/);
  t.notRegex(second, /queue="default"/);
});

test("two registries share nothing, and only counters end in _total", async (t) => {
  const one = createMetrics("0.0.0", SOURCES);
  const two = createMetrics("0.0.0", SOURCES);
  one.links.lost();
  t.regex(await two.registry.metrics(), /^gearmesh_link_lost_total 0$/m);
  const misnamed = [...(await one.registry.metrics()).matchAll(/^# TYPE (\S+_total) (?!counter)/gm)];
  t.deepEqual(misnamed, []);
});
