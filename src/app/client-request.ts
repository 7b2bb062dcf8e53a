import type { RequestIdentity } from "../base/request-identity.ts";
import type { StreamCaller } from "../grpc/stream-caller.ts";
import type { RequestEnvelope } from "../mesh/envelope.ts";

/** Of a stream's id, so that the ids of its requests are no longer than ids may be. Unit: UTF-16 code units. */
const MAX_STREAM_ID_LENGTH = 100;

/**
 * What a client's request on a stream may ask for. It is not nested in another, whatever it says, since it would take the places that nested calls need to end; who asks is whoever opened the
 * stream. In the logs it goes by its own name, or by the stream's where the client has named that: to name every request, at every coordinator, would cost a short one a tenth of its rate.
 * `maxTimeoutMs`: a longer timeout is cut to this.
 */
export function permittedRequest(
  request: RequestEnvelope,
  { identity, isAdmin }: StreamCaller,
  maxTimeoutMs: number,
): RequestEnvelope {
  const { kind, id, method, body, timeoutMs } = request;
  return {
    kind,
    id,
    timeoutMs: Math.min(timeoutMs, maxTimeoutMs),
    depth: 0,
    identity: request.identity ?? (identity && identityWithin(identity, id)),
    isAdmin,
    method,
    body,
  };
}

/** Of the stream's request with this number. */
function identityWithin({ requestId, traceparent }: RequestIdentity, id: number): RequestIdentity {
  const named = `${requestId.slice(0, MAX_STREAM_ID_LENGTH)}.${id}`;
  return traceparent === undefined ? { requestId: named } : { requestId: named, traceparent };
}
