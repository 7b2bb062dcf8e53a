import test from "ava";
import { encodeCall } from "../../src/client/call.ts";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { grpcMessage, rawCall } from "../support/raw-rpc.ts";
import { type SentSpan, startSpanCollector } from "../support/span-collector.ts";
import { WORKLOAD_LIBRARY } from "../support/workload.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const CLIENTS_SPAN = "b7ad6b7169203331";

test("a call is one trace from its client's span to the remote function on another shard, and a task is one of its own", async (t) => {
  await using collector = await startSpanCollector();
  await using cluster = await startTestCluster(t, {
    shards: 3,
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_BSP_SCHEDULE_DELAY: "100" },
  });
  const [here, there] = cluster.nodes;
  if (!here || !there) return t.fail();
  await using client = connect({ address: here.coordinator.address, token: cluster.token });
  await client.load(WORKLOAD_LIBRARY);
  const body = grpcMessage(encodeCall("work.far", { args: [keyOn(cluster, there)] }));
  const path = "/gearmesh.v1.FunctionService/Call";
  const headers = { "x-request-id": "order-4711", traceparent: `00-${TRACE_ID}-${CLIENTS_SPAN}-01` };
  await rawCall(here.coordinator.address, path, body, { token: cluster.token, headers });
  const spanOf = async (name: string, traceId?: string): Promise<SentSpan> => {
    const isIt = (span: SentSpan) => span.name === name && (traceId === undefined || span.traceId === traceId);
    const span = await eventually(() => collector.spans.find(isIt), { what: `a span ${name}` });
    if (!span) throw new Error(`no span ${name}`);
    return span;
  };

  const door = await spanOf("gearmesh.v1.FunctionService/Call", TRACE_ID);
  const run = await spanOf("function work.far", TRACE_ID);
  const link = await spanOf("RUN_REMOTE", TRACE_ID);
  const remote = await spanOf("remote work.read", TRACE_ID);
  const block = await spanOf("block work.read", TRACE_ID);
  t.deepEqual(
    [door, run, link, remote, block].map(({ parentSpanId }) => parentSpanId),
    [CLIENTS_SPAN, door.spanId, run.spanId, link.spanId, remote.spanId],
  );
  t.is(block.instance, remote.instance);
  t.true(BigInt(block.startTimeUnixNano) <= BigInt(block.endTimeUnixNano));
  t.deepEqual(
    [door, run, link, remote, block].map(({ requestId }) => requestId),
    Array(5).fill("order-4711"),
  );
  t.is(door.instance, run.instance);
  t.is(link.instance, remote.instance);
  t.not(run.instance, link.instance);
  t.is(remote.code, "OK");

  await using stream = client.stream({ requestId: "orders" });
  await stream.call("work.far", { args: [keyOn(cluster, there)] });
  const overStream = await spanOf("CALL");
  t.is(overStream.requestId, "orders.1");
  const farther = await spanOf("remote work.read", overStream.traceId);
  t.is(farther.requestId, overStream.requestId);

  await client.call("work.fails").catch(() => undefined);
  const failed = await spanOf("function work.fails");
  t.is(failed.code, "FUNCTION_FAILED");
  t.not(failed.traceId, TRACE_ID);

  const { id } = await client.tasks.enqueue("workTask", "text");
  await client.tasks.result(id);
  const task = await spanOf("task work.workTask");
  t.is(task.parentSpanId, "");

  // A client that does not want its trace kept is obeyed at every coordinator.
  const unwanted = "1bf7651916cd43dd8448eb211c80319c";
  const unsampled = { traceparent: `00-${unwanted}-${CLIENTS_SPAN}-00` };
  await rawCall(here.coordinator.address, path, body, { token: cluster.token, headers: unsampled });
  await client.call("work.fails").catch(() => undefined);
  await eventually(() => collector.spans.filter(({ name }) => name === "function work.fails").length === 2, {
    what: "the span of a later call",
  });
  t.false(collector.spans.some(({ traceId }) => traceId === unwanted));
});
