import type { RequestEnvelope } from "../mesh/envelope.ts";

/**
 * What a client's request on a stream may ask for. It is not nested in another, whatever it says, since it would take the places that nested calls need to end. `maxTimeoutMs`: a longer
 * timeout is cut to this.
 */
export function permittedRequest(request: RequestEnvelope, maxTimeoutMs: number): RequestEnvelope {
  if (request.depth === 0 && request.timeoutMs <= maxTimeoutMs) return request;
  return { ...request, depth: 0, timeoutMs: Math.min(request.timeoutMs, maxTimeoutMs) };
}
