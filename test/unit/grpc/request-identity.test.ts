import { Metadata } from "@grpc/grpc-js";
import test from "ava";
import { traceIdOf } from "../../../src/base/request-identity.ts";
import { identityOf } from "../../../src/grpc/request-identity.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";

function identity(fields: Readonly<Record<string, string>>) {
  const metadata = new Metadata();
  for (const [key, value] of Object.entries(fields)) metadata.set(key, value);
  return identityOf(metadata);
}

test("a client's own names are kept", (t) => {
  const traceparent = `00-${TRACE_ID}-b7ad6b7169203331-01`;
  t.deepEqual(identity({ "x-request-id": "order-4711", traceparent }), { requestId: "order-4711", traceparent });
  t.is(traceIdOf(identity({ traceparent })), TRACE_ID);
  t.is(traceIdOf(identity({ traceparent: `cc-${TRACE_ID}-b7ad6b7169203331-01-what-comes-later` })), TRACE_ID);
});

test("a request without a name gets one of its own, and no trace", (t) => {
  const [one, other] = [identity({}), identity({})];
  t.regex(one.requestId, UUID);
  t.not(one.requestId, other.requestId);
  t.is(traceIdOf(one), undefined);
});

test("what is no name does not get into the log", (t) => {
  for (const id of ["x".repeat(129), "two words", ""]) t.regex(identity({ "x-request-id": id }).requestId, UUID);
  for (const traceparent of [
    `00-${TRACE_ID}-b7ad6b7169203331`,
    `ff-${TRACE_ID}-b7ad6b7169203331-01`,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-${TRACE_ID}-${"0".repeat(16)}-01`,
    `00-${TRACE_ID.toUpperCase()}-b7ad6b7169203331-01`,
    `00-${TRACE_ID}-b7ad6b7169203331-01x`,
  ])
    t.false("traceparent" in identity({ traceparent }), traceparent);
});
