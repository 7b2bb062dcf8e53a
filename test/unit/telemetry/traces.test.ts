import test from "ava";
import { Traces } from "../../../src/telemetry/traces.ts";

test("without a variable that asks for it nothing is traced", async (t) => {
  for (const environment of [
    {},
    { OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" },
    { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" },
    { OTEL_EXPORTER_OTLP_ENDPOINT: "" },
  ]) {
    const traces = new Traces("0.0.0", "run");
    await traces.start(environment);
    t.is(traces.begin("call", "server", undefined), undefined);
    await traces.close();
  }
});

test("a span belongs to its parent's trace, or begins one; none is begun once it is closed", async (t) => {
  const traces = new Traces("0.0.0", "run");
  await traces.start({ OTEL_TRACES_EXPORTER: "otlp" });
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const parent = { requestId: "order-4711", traceparent: `00-${traceId}-b7ad6b7169203331-00` };
  const child = traces.begin("call", "server", parent);
  t.is(child?.identity.requestId, "order-4711");
  t.regex(child?.identity.traceparent ?? "", new RegExp(`^00-${traceId}-(?!b7ad6b7169203331)[0-9a-f]{16}-00$`));
  child?.end("OK");
  const root = traces.begin("call", "internal", { requestId: "order-4712" });
  t.is(root?.identity.requestId, "order-4712");
  t.notRegex(root?.identity.traceparent ?? "", new RegExp(traceId));
  await traces.close();
  t.is(traces.begin("call", "server", parent), undefined);
});
