import { readFile } from "node:fs/promises";
import test from "ava";
import { connect } from "../../src/client/client.ts";
import { encodeRpcCall } from "../../src/client/rpc.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { grpcMessage, rawCall } from "../support/raw-rpc.ts";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";

test("levels change while the coordinator runs, and lines of a call say which", async (t) => {
  await using cluster = await startTestCluster(t, {
    shards: 3,
    env: { GEARMESH_LOG_LEVELS: "rpc=warn" },
  });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  const { coordinator } = node;
  await using client = connect({ address: coordinator.address, token: cluster.token });
  const lines = async (path = coordinator.logPath) =>
    (await readFile(path, "utf8"))
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const line = (msg: string, path?: string) =>
    eventually(async () => (await lines(path)).find((each) => each["msg"] === msg), { what: `a line: ${msg}` });

  await client.rpc("log", { args: ["not yet", "info"] });
  const [reply] = await client.rpc("log.level", { args: ["rpc", "debug"] });
  t.like(reply?.fault ?? reply?.value, { rpc: "debug", mesh: "info" });
  await client.rpc("log", { args: ["by now", "debug"] });
  t.like(await line("by now"), { capability: "rpc", level: "debug" });
  t.like(await line("the coordinator has started"), { capability: "coordinator", level: "info" });

  const body = grpcMessage(encodeRpcCall("log", { args: ["with a name"] }));
  const headers = { "x-request-id": "order-4711", traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
  await rawCall(coordinator.address, "/gearmesh.v1.RpcService/Call", body, { token: cluster.token, headers });
  for (const { coordinator: each } of cluster.nodes) {
    t.like(await line("with a name", each.logPath), { requestId: "order-4711", traceId: TRACE_ID });
  }
  t.regex(String((await line("by now"))?.["requestId"]), /^[0-9a-f-]{36}$/);

  // What comes over a stream goes by the stream's name and its own number there, at every node.
  const names = { requestId: "orders", traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01` };
  await using stream = client.stream(names);
  await stream.requests(METHOD.RPC_CALL, encodeRpcCall("log", { args: ["over a stream"] }), {});
  for (const { coordinator: each } of cluster.nodes) {
    t.like(await line("over a stream", each.logPath), { requestId: "orders.1", traceId: TRACE_ID });
  }
  await using connection = await client.open();
  await connection.rpc("log", { args: ["over a connection that nobody has named"] });
  t.false("requestId" in ((await line("over a connection that nobody has named")) ?? {}));

  const all = await lines();
  t.false(all.some(({ msg }) => msg === "not yet"));
  t.false(all.some((each) => JSON.stringify(each).includes(cluster.token)));
  t.false("requestId" in (all.find(({ msg }) => msg === "the coordinator has started") ?? {}));
});
