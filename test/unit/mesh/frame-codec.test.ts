import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import { WireError, WireWriter } from "../../../src/base/wire.ts";
import type { Envelope, RequestEnvelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame, maxEncodedBytes } from "../../../src/mesh/frame-codec.ts";
import { METHOD } from "../../../src/mesh/method.ts";

const proto = new protobuf.Root();
proto.resolvePath = (_origin, target) => new URL(`../../../proto/${target}`, import.meta.url).pathname;
proto.loadSync(["gearmesh/v1/mesh.proto", "gearmesh/v1/function.proto"]);
const Link = proto.lookupType("gearmesh.v1.LinkRequest");

const BODY_NAMES = new Map<number, readonly [name: string, request: string, response: string]>([
  [METHOD.CALL, ["call", "CallRequest", "CallResponse"]],
  [METHOD.RUN_REMOTE, ["runRemote", "RunRemoteRequest", "RunRemoteResponse"]],
  [METHOD.PREPARE_LIBRARY, ["prepareLibrary", "PrepareLibraryRequest", "PrepareLibraryResponse"]],
  [METHOD.ADOPT_LIBRARY, ["adoptLibrary", "AdoptLibraryRequest", "AdoptLibraryResponse"]],
  [METHOD.SHARE_LIBRARIES, ["shareLibraries", "ShareLibrariesRequest", "ShareLibrariesResponse"]],
  [METHOD.REFRESH_TOPOLOGY, ["refreshTopology", "RefreshTopologyRequest", "RefreshTopologyResponse"]],
]);

const uint32 = fc.nat({ max: 0xffff_ffff });
const uint53 = fc.oneof(fc.nat({ max: 200 }), fc.maxSafeNat());
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const id = uint53;

const confirmation = fc
  .tuple(
    fc.integer({ min: 1, max: 0xffff_ffff }),
    fc.array(fc.record({ address: text, epoch: uint53 }), { maxLength: 3 }),
  )
  .map(([ageMs, newerOwners]) => bodyOf("OwnershipConfirmation", { ageMs, newerOwners }));

/** A body as some other implementation encoded it: opaque to the mesh, so any message of the right type will do. */
const call = fc
  .tuple(text, fc.array(bytes, { maxLength: 3 }))
  .map(([name, args]) => ({ method: METHOD.CALL, body: bodyOf("CallRequest", { function: name, args }) }));
const refresh = fc.constant({ method: METHOD.REFRESH_TOPOLOGY, body: Buffer.alloc(0) });
const adopt = fc.tuple(text, uint53).map(([name, revision]) => ({
  method: METHOD.ADOPT_LIBRARY,
  body: bodyOf("AdoptLibraryRequest", { version: { name, revision, text: name } }),
}));
const result = uint53.map((revision) => ({
  method: METHOD.PREPARE_LIBRARY,
  result: bodyOf("PrepareLibraryResponse", { revision }),
}));

/** Opaque, too. */
const delivery = uint53.map((sequence) => bodyOf("Delivery", { sequence, message: { json: "1" } }));

function bodyOf(type: string, message: Record<string, unknown>): Buffer {
  return Buffer.from(proto.lookupType(`gearmesh.v1.${type}`).encode(message).finish());
}

function record<K extends Envelope["kind"], T>(kind: K, fields: { [F in keyof T]: fc.Arbitrary<T[F]> }) {
  return fc.record(fields).map((each) => ({ kind, ...each }));
}

const hex = (digits: number) => fc.stringMatching(new RegExp(`^[1-9a-f]{${digits}}$`));
const traceparent = fc.tuple(hex(32), hex(16)).map(([trace, parent]) => `00-${trace}-${parent}-01`);
const requestId = fc.stringMatching(/^[\x21-\x7e]{1,128}$/);
/** Most requests have none. */
const origin = fc.oneof(
  fc.constant({}),
  fc.record({ identity: fc.oneof(fc.record({ requestId }), fc.record({ requestId, traceparent })) }),
);
const asker = fc.constantFrom({}, { isAdmin: true });

const envelope: fc.Arbitrary<Envelope> = fc.oneof(
  fc
    .tuple(fc.record({ id, timeoutMs: uint32, depth: uint32 }), origin, asker, fc.oneof(call, refresh, adopt))
    .map(([head, named, by, body]) => ({ kind: "request", ...head, ...named, ...by, ...body }) as const),
  fc.tuple(id, result).map(([id, body]) => ({ kind: "response", id, ...body }) as const),
  record("fault", { id, code: text, message: text }),
  record("cancel", { id }),
  record("ping", { nonce: uint53, topologyHash: text, epoch: uint53, nodeName: text }),
  record("pong", { nonce: uint53, topologyHash: text, confirmation, nodeName: text }),
  record("goAway", { reason: text }),
  record("hello", {
    version: uint32,
    oldestVersion: uint32,
    namespace: text,
    nodeId: text,
    runId: text,
    expectedNodeId: text,
    nonce: bytes,
    topologyHash: text,
  }),
  record("challenge", { version: uint32, nodeId: text, runId: text, nonce: bytes, topologyHash: text }),
  record("proof", { macs: fc.array(bytes, { maxLength: 3 }) }),
  record("delivery", { delivery }),
  record("received", { sequence: uint53 }),
);

/** Our envelope as protobufjs has it. */
function asForeign(envelope: Envelope): Record<string, unknown> {
  const { kind, ...fields } = envelope;
  if (envelope.kind === "request" || envelope.kind === "response") {
    const { method } = envelope;
    const [name, request, response] = BODY_NAMES.get(method) ?? ["", "", ""];
    const [type, body] = envelope.kind === "request" ? [request, envelope.body] : [response, envelope.result];
    const message = proto.lookupType(`gearmesh.v1.${type}`).decode(body);
    const head = envelope.kind === "request" ? headOf(envelope) : {};
    return { [envelope.kind]: { id: envelope.id, ...head, [name]: message } };
  }
  if (envelope.kind === "fault") {
    const { id, code, message } = envelope;
    return { response: { id, fault: { code, message } } };
  }
  if (envelope.kind === "pong") {
    const { nonce, topologyHash } = envelope;
    const confirmation = proto.lookupType("gearmesh.v1.OwnershipConfirmation").decode(envelope.confirmation);
    return { pong: { nonce, topologyHash, confirmation, nodeName: envelope.nodeName } };
  }
  if (envelope.kind === "delivery") {
    return { delivery: proto.lookupType("gearmesh.v1.Delivery").decode(envelope.delivery) };
  }
  return { [kind]: fields };
}

function headOf({ timeoutMs, depth, identity, isAdmin }: RequestEnvelope) {
  return { timeoutMs, depth, ...(identity && { origin: identity }), ...(isAdmin && { fromAdmin: true }) };
}

/** As plain objects with every default filled in, so that the two can be compared. */
function plain(message: protobuf.Message): unknown {
  return Link.toObject(message, { longs: Number, bytes: Buffer, defaults: true, arrays: true });
}

test("frames written here read the same by the .proto", (t) => {
  fc.assert(
    fc.property(fc.array(envelope, { maxLength: 5 }), (envelopes) => {
      const expected = Link.decode(Link.encode(Link.create({ envelopes: envelopes.map(asForeign) })).finish());
      t.deepEqual(plain(Link.decode(encodeFrame(envelopes))), plain(expected));
    }),
  );
});

test("frames written by the .proto read the same here", (t) => {
  fc.assert(
    fc.property(fc.array(envelope, { maxLength: 5 }), (envelopes) => {
      const frame = Link.encode(Link.create({ envelopes: envelopes.map(asForeign) })).finish();
      t.deepEqual(decodeFrame(frame), envelopes);
      t.deepEqual(decodeFrame(encodeFrame(envelopes)), envelopes);
    }),
  );
});

test("the bound on an envelope's size holds", (t) => {
  const maximum = Number.MAX_SAFE_INTEGER;
  const bounded = fc.oneof(
    bytes.map((body) => {
      return {
        kind: "request",
        id: maximum,
        timeoutMs: 0xffff_ffff,
        depth: 0xffff_ffff,
        isAdmin: true,
        method: 2 ** 20,
        body,
      } as const;
    }),
    bytes.map((result) => ({ kind: "response", id: maximum, method: 2 ** 20, result }) as const),
    record("fault", { id: uint53, code: text, message: text }),
  );
  fc.assert(
    fc.property(bounded, (envelope) => {
      t.true(encodeFrame([envelope]).length <= maxEncodedBytes(envelope));
    }),
  );
});

test("unknown kinds are left out, unknown fields skipped, and an unknown method keeps its number", (t) => {
  const request = new WireWriter().uint(1, 7).uint(60, 1).bytes(99, Buffer.from("x")).finish();
  const frame = new WireWriter()
    .bytes(1, new WireWriter().bytes(77, Buffer.from("a kind of a newer release")).finish())
    .bytes(1, new WireWriter().bytes(1, request).finish())
    .bytes(2, Buffer.from("a field of a newer release"))
    .finish();
  t.deepEqual(decodeFrame(frame), [
    { kind: "request", id: 7, timeoutMs: 0, depth: 0, method: 99, body: Buffer.from("x") },
  ]);
});

test("any bytes are a frame or a WireError", (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        t.true(Array.isArray(decodeFrame(bytes)));
      } catch (error) {
        t.true(error instanceof WireError);
      }
    }),
  );
});

test("a frame that is cut anywhere inside an envelope is refused as a whole", (t) => {
  const frame = encodeFrame([{ kind: "ping", nonce: 1, topologyHash: "0123456789", epoch: 0, nodeName: "" }]);
  for (let end = 1; end < frame.length; end++) {
    t.throws(() => decodeFrame(frame.subarray(0, end)), { instanceOf: WireError });
  }
});

test("a frame has 65,536 envelopes at most, and a proof 4096 codes", (t) => {
  const cancels = (count: number) => encodeFrame(Array.from({ length: count }, (_, id) => ({ kind: "cancel", id })));
  t.is(decodeFrame(cancels(65_536)).length, 65_536);
  t.throws(() => decodeFrame(cancels(65_537)), { instanceOf: WireError });
  const macs = Array.from({ length: 4097 }, () => new Uint8Array());
  t.notThrows(() => decodeFrame(encodeFrame([{ kind: "proof", macs: macs.slice(1) }])));
  t.throws(() => decodeFrame(encodeFrame([{ kind: "proof", macs }])), { instanceOf: WireError });
});
