/** What tells one request of a client from all others, in the logs of every coordinator that works on it. */
export interface RequestIdentity {
  /** The client's own, or made at the door. */
  readonly requestId: string;
  /** W3C Trace Context, as the client sent it. */
  readonly traceparent?: string;
}

/** What a client may choose: it goes into logs. */
const ID = /^[\x21-\x7e]{1,128}$/;
/** Version, trace, parent, flags; a later version may have more behind. A trace of zeros is none. */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-[\x21-\x7e]{0,64}$)/;

/** Undefined where the id is none; a traceparent that is none is left out. */
export function requestIdentity(requestId: string, traceparent: string): RequestIdentity | undefined {
  if (!ID.test(requestId)) return undefined;
  return TRACEPARENT.test(traceparent) ? { requestId, traceparent } : { requestId };
}

/** Of the trace that the request belongs to, in hex. */
export function traceIdOf({ traceparent }: RequestIdentity): string | undefined {
  return traceparent?.split("-", 2)[1];
}
