import type { FaultCode } from "./fault.ts";
import type { RequestIdentity } from "./request-identity.ts";

/** One step on the way of a request, from `begin` to `end`. */
export interface Span {
  /** What is done within this step belongs to it. */
  readonly identity: RequestIdentity;
  /** Whether it is kept: of what is not, its parts need not be told either. */
  readonly isKept: boolean;
  /** `atMs`: when it did, where that is not now. Since 1970. */
  end(code: FaultCode | "OK", atMs?: number): void;
}

/** Where spans go. Must not throw. */
export interface Spans {
  /** `parent`: what the step belongs to; without one it begins a trace. `atMs`: when it began, where that is not now. Undefined while nobody wants spans. */
  begin(name: string, kind: SpanKind, parent: RequestIdentity | undefined, atMs?: number): Span | undefined;
}

/** `server`: a request arrived; `internal`: a step within one. */
export type SpanKind = "server" | "internal";
