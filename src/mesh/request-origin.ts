import { type RequestIdentity, requestIdentity } from "../base/request-identity.ts";
import { WireReader, WireWriter } from "../base/wire.ts";

/** `gearmesh.v1.RequestOrigin`: whose request it is, for the logs. */
const REQUEST_ID = 1;
const TRACEPARENT = 2;

/** Of tags and lengths. Unit: bytes. */
const OVERHEAD_BYTES = 8;

/** Its texts are ASCII: see RequestIdentity. */
export function originBytes({ requestId, traceparent = "" }: RequestIdentity): number {
  return OVERHEAD_BYTES + requestId.length + traceparent.length;
}

export function encodeOrigin(identity: RequestIdentity): Uint8Array {
  const { requestId, traceparent = "" } = identity;
  const writer = new WireWriter(originBytes(identity)).string(REQUEST_ID, requestId);
  return traceparent === "" ? writer.finish() : writer.string(TRACEPARENT, traceparent).finish();
}

/** Undefined for one that names no request: it is only for the log, and nothing fails for it. */
export function decodeOrigin(bytes: Uint8Array): RequestIdentity | undefined {
  let requestId = "";
  let traceparent = "";
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === REQUEST_ID) requestId = reader.string();
    else if (reader.field === TRACEPARENT) traceparent = reader.string();
  }
  return requestIdentity(requestId, traceparent);
}
