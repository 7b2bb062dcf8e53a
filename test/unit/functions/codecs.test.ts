import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import { WireError } from "../../../src/base/wire.ts";
import {
  decodeCallRequest,
  decodeCallResponse,
  encodeCallRequest,
  encodeCallResponse,
} from "../../../src/functions/call-codec.ts";
import {
  decodeLibraryVersion,
  encodeLibraryVersion,
  type LibraryVersion,
  librarySource,
  previousOf,
} from "../../../src/functions/library-version.ts";
import {
  decodeRunRemoteRequest,
  decodeRunRemoteResponse,
  encodeRunRemoteRequest,
  encodeRunRemoteResponse,
} from "../../../src/functions/remote-codec.ts";

import {
  decodeSharedLibraries,
  decodeShareRequest,
  encodeSharedLibraries,
  encodeShareRequest,
} from "../../../src/functions/share-codec.ts";

const proto = new protobuf.Root();
proto.resolvePath = (_origin, target) => new URL(`../../../proto/${target}`, import.meta.url).pathname;
proto.loadSync(["gearmesh/v1/call.proto", "gearmesh/v1/peer.proto"]);

const bytes = fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each));
const text = fc.string({ unit: "grapheme", maxLength: 100 });

/** What another implementation of the .proto reads from these bytes. */
function foreign(type: string, message: Uint8Array): Record<string, unknown> {
  const found = proto.lookupType(`gearmesh.v1.${type}`);
  return found.toObject(found.decode(message), { longs: Number, bytes: Buffer, arrays: true });
}

/** What another implementation of the .proto writes. */
function foreignBytes(type: string, message: Record<string, unknown>): Uint8Array {
  return proto.lookupType(`gearmesh.v1.${type}`).encode(message).finish();
}

test("a call and a remote call have 65,536 keys and arguments at most", (t) => {
  const request = { function: "lib.f", keys: [], args: [] };
  const remote = {
    library: "lib",
    hash: "",
    function: "f",
    slot: undefined,
    asking: false,
    topologyHash: "",
    args: [],
  };
  const most = Array.from({ length: 65_536 }, () => new Uint8Array());
  const more = [...most, new Uint8Array()];
  t.is(decodeCallRequest(encodeCallRequest({ ...request, keys: most, args: most })).args.length, most.length);
  t.is(decodeRunRemoteRequest(encodeRunRemoteRequest({ ...remote, args: most })).args.length, most.length);
  const refused = { instanceOf: WireError };
  t.throws(() => decodeCallRequest(encodeCallRequest({ ...request, keys: more })), refused);
  t.throws(() => decodeCallRequest(encodeCallRequest({ ...request, args: more })), refused);
  t.throws(() => decodeRunRemoteRequest(encodeRunRemoteRequest({ ...remote, args: more })), refused);
});

test("call requests read the same here and by the .proto", (t) => {
  fc.assert(
    fc.property(text, fc.array(bytes), fc.array(bytes), (name, keys, args) => {
      const request = { function: name, keys, args };
      const encoded = encodeCallRequest(request);
      t.deepEqual(decodeCallRequest(encoded), request);
      t.like(foreign("CallRequest", encoded), { function: name, keys, args });
      t.deepEqual(decodeCallRequest(foreignBytes("CallRequest", request)), request);
    }),
  );
});

test("run requests read the same here and by the .proto", (t) => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((each) => Buffer.from(each).toString("hex"));
  const slot = fc.option(fc.integer({ min: 0, max: 16383 }), { nil: undefined });
  const given = fc.record({ library: text, hash, function: text, slot, asking: fc.boolean(), topologyHash: text });
  fc.assert(
    fc.property(given, fc.array(text), (each, json) => {
      const args = json.map((each) => Buffer.from(foreignBytes("Payload", { json: each })));
      const request = { ...each, args };
      const encoded = encodeRunRemoteRequest(request);
      t.deepEqual(decodeRunRemoteRequest(encoded), request);
      t.like(foreign("RunRemoteRequest", encoded), {
        library: each.library,
        function: each.function,
        hash: Buffer.from(each.hash, "hex"),
        args: json.map((each) => ({ json: each })),
        ...(each.asking && { asking: true }),
        ...(each.topologyHash !== "" && { topologyHash: each.topologyHash }),
      });
    }),
  );
});

test("library versions and deletions read the same here and by the .proto", (t) => {
  const revision = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  fc.assert(
    fc.property(text, text, revision, fc.boolean(), (name, body, revision, deleted) => {
      const source = deleted ? undefined : librarySource(name, body, "{}");
      const version: LibraryVersion = { name, revision, source };
      const encoded = encodeLibraryVersion(version);
      t.deepEqual(decodeLibraryVersion(encoded), version);
      t.like(foreign("LibraryVersion", encoded), { name, revision });
    }),
  );
});

test("a version and what it can be rolled back to read the same here and by the .proto", (t) => {
  fc.assert(
    fc.property(text, text, text, fc.maxSafeNat(), (name, body, config, revision) => {
      const source = librarySource(name, body, config);
      const version: LibraryVersion = { name, revision: 1, source, previous: { revision, source } };
      const message = { name, revision: 1, text: body, config, previous: { revision, text: body, config } };
      t.deepEqual(decodeLibraryVersion(encodeLibraryVersion(version)), version);
      t.like(foreign("LibraryVersion", encodeLibraryVersion(version)), message);
      t.deepEqual(decodeLibraryVersion(foreignBytes("LibraryVersion", message)), version);
    }),
  );
});

test("a version can be rolled back to the newest that differs, and a deletion to nothing", (t) => {
  const [a, b] = ["a", "b"].map((text) => librarySource("lib", text, "{}"));
  if (!a || !b) return t.fail();
  const first: LibraryVersion = { name: "lib", revision: 1, source: a };
  t.is(previousOf(a, undefined), undefined);
  t.is(previousOf(a, first), undefined);
  t.deepEqual(previousOf(b, first), { revision: 1, source: a });
  const second: LibraryVersion = { name: "lib", revision: 2, source: b, previous: previousOf(b, first) };
  t.deepEqual(previousOf(b, second), { revision: 1, source: a }, "repeated");
  t.deepEqual(previousOf(a, second), { revision: 2, source: b }, "rolled back");
  t.is(previousOf(a, { name: "lib", revision: 3, source: undefined }), undefined);
});

test("replies are wrapped and unwrapped as they are", (t) => {
  fc.assert(
    fc.property(bytes, fc.boolean(), (value, topologyDiffers) => {
      t.deepEqual(Buffer.from(decodeCallResponse(encodeCallResponse(value))), value);
      const response = { payload: value, topologyDiffers };
      t.deepEqual(decodeRunRemoteResponse(encodeRunRemoteResponse(response)), response);
    }),
  );
});

test("a library's hash tells apart where name, text and configuration meet", (t) => {
  t.not(librarySource("a", "bc", "{}").hash, librarySource("ab", "c", "{}").hash);
});

test("what coordinators share of their libraries reads the same here and by the .proto", (t) => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((each) => Buffer.from(each));
  const head = fc.record({ name: text, revision: fc.maxSafeNat(), hash: fc.oneof(hash, fc.constant(Buffer.alloc(0))) });
  fc.assert(
    fc.property(fc.array(head), (known) => {
      const heads = known.map((each) => ({ ...each, hash: each.hash.toString("hex") }));
      t.deepEqual(decodeShareRequest(foreignBytes("ShareLibrariesRequest", { known })), heads);
      t.deepEqual(foreign("ShareLibrariesRequest", encodeShareRequest(heads)), { known });
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.maxSafeNat())), fc.boolean(), fc.boolean(), (items, more, level) => {
      const newer = items.map(([name, revision]) => ({ name, revision, source: undefined }));
      const shared = { newer, more, level };
      t.deepEqual(decodeSharedLibraries(encodeSharedLibraries(shared)), shared);
      const message = { newer: items.map(([name, revision]) => ({ name, revision, deleted: true })), more, level };
      t.like(foreign("ShareLibrariesResponse", encodeSharedLibraries(shared)), message);
      t.deepEqual(decodeSharedLibraries(foreignBytes("ShareLibrariesResponse", message)), shared);
    }),
  );
});
