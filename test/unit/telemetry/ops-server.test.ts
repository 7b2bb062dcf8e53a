import { connect } from "node:net";
import test from "ava";
import { Counter, Registry } from "prom-client";
import { Fault } from "../../../src/base/fault.ts";
import { type MetricsAccess, startOpsServer } from "../../../src/telemetry/ops-server.ts";

async function start(missing: () => string | undefined = () => undefined, access: MetricsAccess = "yes") {
  const registry = new Registry();
  new Counter({ registers: [registry], name: "sample_total", help: "A sample." }).inc(7);
  const asked: (string | undefined)[] = [];
  const server = await startOpsServer({
    host: "127.0.0.1",
    port: 0,
    registry,
    missing,
    nodeName: () => "gearmesh-2",
    mayReadMetrics(authorization) {
      asked.push(authorization);
      return access;
    },
  });
  return {
    server,
    asked,
    get: (path: string, init?: RequestInit) => fetch(`http://127.0.0.1:${server.port}${path}`, init),
  };
}

test("/metrics shows the registry in Prometheus' text format", async (t) => {
  const { server, get } = await start();
  const response = await get("/metrics");
  t.is(response.status, 200);
  t.regex(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  t.regex(await response.text(), /^sample_total 7$/m);
  await server.close();
});

for (const [status, hint] of [
  [401, /scope metrics/],
  [403, /has not the scope/],
  [429, /try again later/],
] as const) {
  test(`/metrics answers ${status} to who may not read it, and /ready does not ask`, async (t) => {
    const { server, asked, get } = await start(() => undefined, status);
    const response = await get("/metrics", { headers: { authorization: "Bearer something" } });
    t.is(response.status, status);
    t.is(response.headers.get("www-authenticate"), "Bearer");
    const text = await response.text();
    t.regex(text, hint);
    t.notRegex(text, /sample_total|something/);
    t.is((await get("/ready")).status, 200);
    t.deepEqual(asked, ["Bearer something"]);
    await server.close();
  });
}

test("/ready says 503 and why until the coordinator is ready; /live does not care", async (t) => {
  let missing: string | undefined = "Redis is away";
  const { server, get } = await start(() => missing);
  const before = await get("/ready");
  t.is(before.status, 503);
  t.deepEqual(await before.json(), { ready: false, node: "gearmesh-2", reason: "Redis is away" });
  t.is((await get("/live")).status, 200);
  missing = undefined;
  const after = await get("/ready?verbose=1");
  t.is(after.status, 200);
  t.deepEqual(await after.json(), { ready: true, node: "gearmesh-2" });
  await server.close();
});

test("other paths and methods are refused", async (t) => {
  const { server, get } = await start();
  t.is((await get("/")).status, 404);
  t.is((await get("/__proto__")).status, 404);
  const posted = await get("/metrics", { method: "POST", body: "x".repeat(100_000) });
  t.is(posted.status, 405);
  t.is(posted.headers.get("allow"), "GET, HEAD");
  const head = await get("/live", { method: "HEAD" });
  t.is(head.status, 200);
  t.is(await head.text(), "");
  await server.close();
});

test("a taken port is refused with what to do", async (t) => {
  const { server } = await start();
  const second = startOpsServer({
    host: "127.0.0.1",
    port: server.port,
    registry: new Registry(),
    missing: () => undefined,
    nodeName: () => "gearmesh-2",
    mayReadMetrics: () => "yes",
  });
  const fault = await t.throwsAsync(second, { instanceOf: Fault });
  t.regex(fault.message, /EADDRINUSE.*opsListen/);
  await server.close();
});

test("close ends connections that idle", async (t) => {
  const { server } = await start();
  const socket = connect(server.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.resume();
  await server.close();
  await ended;
  t.pass();
});
