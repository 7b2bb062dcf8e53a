import { ROOT_CONTEXT, SpanKind, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import type { FaultCode } from "../base/fault.ts";
import { type RequestIdentity, traceIdOf } from "../base/request-identity.ts";
import type { SpanKind as Kind, Span, Spans } from "../base/spans.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** What ends the export: see the SDK's provider. */
interface Provider {
  getTracer(name: string, version: string): Tracer;
  shutdown(): Promise<void>;
}

/** Of a trace that the client wants kept. */
const SAMPLED = 1;

const KINDS: Readonly<Record<Kind, SpanKind>> = { server: SpanKind.SERVER, internal: SpanKind.INTERNAL };

/** Longest that a coordinator which stops waits until its last spans are sent. Unit: ms. */
const SHUTDOWN_TIMEOUT_MS = 2000;

/**
 * Spans by OpenTelemetry, sent by OTLP over HTTP where the standard variables ask for it, and to nobody otherwise. Its SDK takes longer to load than the rest of a coordinator, and is loaded
 * only then.
 */
export class Traces implements Spans {
  readonly #version: string;
  readonly #instance: string;
  #provider: Provider | undefined;
  #tracer: Tracer | undefined;

  /** `instance`: what tells this coordinator from the others for good: its run id. */
  constructor(version: string, instance: string) {
    this.#version = version;
    this.#instance = instance;
  }

  /** Does nothing where no export is wanted. */
  async start(environment: Environment = process.env): Promise<void> {
    if (!isExportWanted(environment)) return;
    const [{ BasicTracerProvider, BatchSpanProcessor }, { OTLPTraceExporter }, resources] = await Promise.all([
      import("@opentelemetry/sdk-trace-base"),
      import("@opentelemetry/exporter-trace-otlp-http"),
      import("@opentelemetry/resources"),
    ]);
    const named = resources.resourceFromAttributes({
      "service.name": environment["OTEL_SERVICE_NAME"] || "gearmesh",
      "service.version": this.#version,
      "service.instance.id": this.#instance,
    });
    const given = resources.detectResources({ detectors: [resources.envDetector] });
    this.#use(
      new BasicTracerProvider({
        resource: named.merge(given),
        spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
      }),
    );
  }

  /** Sends what is left, within a bound. Never rejects. */
  async close(): Promise<void> {
    this.#tracer = undefined;
    const late = new Promise((resolve) => setTimeout(resolve, SHUTDOWN_TIMEOUT_MS).unref());
    await Promise.race([this.#provider?.shutdown().catch(() => undefined), late]);
  }

  begin(name: string, kind: Kind, parent: RequestIdentity | undefined, atMs?: number): Span | undefined {
    if (!this.#tracer) return undefined;
    const options = { kind: KINDS[kind], ...(atMs !== undefined && { startTime: atMs }) };
    const span = this.#tracer.startSpan(name, options, parentContext(parent));
    if (parent) span.setAttribute("gearmesh.request_id", parent.requestId);
    const { traceId, spanId, traceFlags } = span.spanContext();
    const traceparent = `00-${traceId}-${spanId}-${(traceFlags & SAMPLED).toString(16).padStart(2, "0")}`;
    return {
      identity: { requestId: parent?.requestId ?? traceId, traceparent },
      isKept: span.isRecording(),
      end(code: FaultCode | "OK", endedAtMs?: number) {
        span.setAttribute("gearmesh.code", code);
        if (code !== "OK") span.setStatus({ code: SpanStatusCode.ERROR, message: code });
        span.end(endedAtMs);
      },
    };
  }

  #use(provider: Provider): void {
    this.#provider = provider;
    this.#tracer = provider.getTracer("gearmesh", this.#version);
  }
}

/** OpenTelemetry's own rules, but that nothing is exported unless something asks for it. */
function isExportWanted(environment: Environment): boolean {
  if (environment["OTEL_SDK_DISABLED"] === "true") return false;
  const exporter = environment["OTEL_TRACES_EXPORTER"];
  if (exporter !== undefined && exporter !== "") return exporter === "otlp";
  return Boolean(environment["OTEL_EXPORTER_OTLP_ENDPOINT"] || environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]);
}

function parentContext(parent: RequestIdentity | undefined) {
  const traceId = parent && traceIdOf(parent);
  const [, , spanId = "", flags = ""] = parent?.traceparent?.split("-") ?? [];
  if (traceId === undefined) return ROOT_CONTEXT;
  const traceFlags = Number.parseInt(flags, 16) & SAMPLED;
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags, isRemote: true });
}
