import { randomUUID } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";
import { type RequestIdentity, requestIdentity } from "../base/request-identity.ts";

/** Metadata key of the name that a client gives its request; on the way back, of one that met a bug. */
export const REQUEST_ID = "x-request-id";
/** Metadata key of the trace that the request belongs to, by W3C Trace Context. */
export const TRACEPARENT = "traceparent";

/** The client's own names where it sends usable ones; a request without gets an id here. */
export function identityOf(metadata: Metadata): RequestIdentity {
  return givenIdentityOf(metadata) ?? { requestId: randomUUID() };
}

/** The client's own names, where it sends one that is usable. */
export function givenIdentityOf(metadata: Metadata): RequestIdentity | undefined {
  const traceparent = textOf(metadata, TRACEPARENT);
  const own = requestIdentity(textOf(metadata, REQUEST_ID), traceparent);
  if (own) return own;
  const traced = requestIdentity(randomUUID(), traceparent);
  return traced?.traceparent === undefined ? undefined : traced;
}

function textOf(metadata: Metadata, key: string): string {
  const [value] = metadata.get(key);
  return typeof value === "string" ? value : "";
}
