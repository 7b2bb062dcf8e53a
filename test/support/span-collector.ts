import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

/** A span as it was sent, as far as tests look at it. */
export interface SentSpan {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  /** Run id of the coordinator that sent it. */
  readonly instance: string;
  readonly code: string;
  /** Of the request that it belongs to; empty where nobody has named that. */
  readonly requestId: string;
  /** Since 1970. */
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
}

/** Receives spans as an OpenTelemetry collector does, by OTLP over HTTP with JSON. */
export interface SpanCollector extends AsyncDisposable {
  /** What OTEL_EXPORTER_OTLP_ENDPOINT is to name. */
  readonly endpoint: string;
  readonly spans: readonly SentSpan[];
}

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string };
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<SentSpan, "instance" | "code" | "requestId"> & {
        readonly attributes: readonly Attribute[];
      })[];
    }[];
  }[];
}

export async function startSpanCollector(): Promise<SpanCollector> {
  const spans: SentSpan[] = [];
  const server = createServer(async (request, response) => {
    const { resourceSpans } = (await json(request)) as Export;
    for (const { resource, scopeSpans } of resourceSpans) {
      const instance = attributeOf(resource.attributes, "service.instance.id");
      for (const { attributes, parentSpanId = "", ...span } of scopeSpans.flatMap((each) => each.spans)) {
        const code = attributeOf(attributes, "gearmesh.code");
        const requestId = attributeOf(attributes, "gearmesh.request_id");
        spans.push({ ...span, parentSpanId, instance, code, requestId });
      }
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function attributeOf(attributes: readonly Attribute[], key: string): string {
  return attributes.find((each) => each.key === key)?.value.stringValue ?? "";
}
