import test from "ava";
import { permittedRequest } from "../../../src/app/client-request.ts";
import { requestIdentity } from "../../../src/base/request-identity.ts";
import type { RequestEnvelope } from "../../../src/mesh/envelope.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const REQUEST: RequestEnvelope = { kind: "request", id: 7, timeoutMs: 10, depth: 0, method: 5, body: Buffer.from("x") };

test("a request is asked by whoever opened its stream, whatever it says, and is nested in no other", (t) => {
  const asked = { ...REQUEST, depth: 3, timeoutMs: 999, isAdmin: true };
  const permitted = permittedRequest(asked, { identity: { requestId: "stream" }, isAdmin: false }, 100);
  t.deepEqual(permitted, { ...REQUEST, timeoutMs: 100, identity: { requestId: "stream.7" }, isAdmin: false });
  const unnamed = permittedRequest(REQUEST, { identity: undefined, isAdmin: true }, 100);
  t.deepEqual(unnamed, { ...REQUEST, identity: undefined, isAdmin: true });
});

test("a request goes by its own name, or else by its number on the stream, which is a name that other nodes take", (t) => {
  const caller = (requestId: string) => ({ identity: { requestId, traceparent: TRACEPARENT }, isAdmin: false });
  const own = { requestId: "own" };
  t.is(permittedRequest({ ...REQUEST, identity: own }, caller("stream"), 100).identity, own);
  const identity = permittedRequest({ ...REQUEST, id: 2 ** 53 - 1 }, caller("x".repeat(128)), 100).identity;
  t.is(identity?.traceparent, TRACEPARENT);
  t.deepEqual(requestIdentity(identity?.requestId ?? "", TRACEPARENT), identity);
});
