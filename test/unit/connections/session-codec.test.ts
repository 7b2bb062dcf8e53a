import test from "ava";
import protobuf from "protobufjs";
import { payloadOf } from "../../../src/base/json-payload.ts";
import type { MessageCodec } from "../../../src/base/message.ts";
import {
  applyRequest,
  applyResponse,
  connectionDetails,
  delivery,
  methodName,
  openConnectionRequest,
  openConnectionResponse,
  takeOverRequest,
  takeOverResponse,
  verbRequest,
  verbResponse,
} from "../../../src/connections/session-codec.ts";
import { roomMessage } from "../../../src/rooms/room-codec.ts";
import { rpcCallRequest, rpcCallResponse, runMethodRequest, runMethodResponse } from "../../../src/rpc/rpc-codec.ts";

const proto = new protobuf.Root();
proto.resolvePath = (_origin, target) => new URL(`../../../proto/${target}`, import.meta.url).pathname;
proto.loadSync(["gearmesh/v1/mesh.proto", "gearmesh/v1/connection.proto", "gearmesh/v1/rpc.proto"]);

const payload = payloadOf({ a: 1 });
const details = {
  id: "id",
  type: "type",
  fingerprint: "print",
  remoteIp: "::1",
  remotePort: 65_535,
  connectedAtMs: 2 ** 41,
  rooms: ["one", "two"],
  totalActions: 7,
  pendingActions: 2,
  attributes: new Map([["auth", payload]]),
  node: "gearmesh-1",
  params: new Map([["lang", payloadOf("de")]]),
};
const said = { room: "r", from: "0", message: payload, context: "user", sentAtMs: 5 };

interface Row {
  readonly name: string;
  readonly encoded: Buffer;
  readonly value: object;
  readonly decoded: object;
}

function row<T extends object>(name: string, codec: MessageCodec<T>, value: T): Row {
  const encoded = codec.encode(value);
  return { name, encoded, value, decoded: codec.decode(encoded) };
}

/** Each message with a value in every field that can stand beside the others. */
const MESSAGES = [
  row("ConnectionDetails", connectionDetails, details),
  row("OpenConnectionRequest", openConnectionRequest, {
    type: "t",
    fingerprint: "f",
    params: new Map([["k", payload]]),
    methods: ["m"],
    resumeToken: "x",
    receivedSequence: 9,
  }),
  row("OpenConnectionResponse", openConnectionResponse, { details, resumeToken: "x", resumeGraceMs: 5, resumed: true }),
  row("ApplyRequest", applyRequest, { connectionId: "c", method: "m", args: [payload, payload], timeoutMs: 5 }),
  row("ApplyResponse", applyResponse, { details, result: payload }),
  row("VerbRequest", verbRequest, { verb: "say", args: [payload] }),
  row("VerbResponse", verbResponse, { result: payload }),
  row("RegisterMethodRequest", methodName, { method: "m" }),
  row("UnregisterMethodRequest", methodName, { method: "m" }),
  row("TakeOverConnectionRequest", takeOverRequest, {
    connectionId: "c",
    tokenHash: Buffer.alloc(32, 1),
    receivedSequence: 4,
  }),
  row("Delivery", delivery, { sequence: 3, message: payload, roomMessage: undefined, missed: undefined }),
  row("Delivery", delivery, {
    sequence: 3,
    message: undefined,
    roomMessage: roomMessage.encode(said),
    missed: undefined,
  }),
  row("Delivery", delivery, {
    sequence: 1,
    message: undefined,
    roomMessage: undefined,
    missed: { count: 4, unknown: true },
  }),
  row("TakeOverConnectionResponse", takeOverResponse, {
    details,
    lastSequence: 8,
    deliveries: [delivery.encode({ sequence: 8, message: payload, roomMessage: undefined, missed: undefined })],
  }),
  row("RpcServiceCallRequest", rpcCallRequest, {
    method: "m",
    args: [payload],
    target: { all: undefined, node: "n", connection: undefined, key: undefined },
    wait: 2,
    timeoutMs: 3,
  }),
  row("RpcServiceCallResponse", rpcCallResponse, {
    replies: [
      { node: "a", result: payload, fault: undefined },
      { node: "b", result: undefined, fault: { code: "METHOD_FAILED", message: "no" } },
    ],
    nodes: 2,
  }),
  row("RunMethodRequest", runMethodRequest, {
    method: "m",
    args: [payload],
    caller: "gearmesh-1",
    connectionId: "c",
    slotPlusOne: 16_384,
  }),
  row("RunMethodResponse", runMethodResponse, { result: payload, node: "gearmesh-2" }),
];

for (const [index, { name, encoded, value, decoded }] of MESSAGES.entries()) {
  test(`${name} (${index}) is as the .proto has it, both ways, and no field is left out`, (t) => {
    const Foreign = proto.lookupType(`gearmesh.v1.${name}`);
    const foreign = Foreign.decode(encoded);
    const oneofs = new Set(
      Foreign.oneofsArray.flatMap(({ fieldsArray }) => fieldsArray.map(({ name: field }) => field)),
    );
    for (const { name: field } of Foreign.fieldsArray) {
      t.true(oneofs.has(field) || Object.hasOwn(foreign, field), `${field} was not written`);
    }
    t.deepEqual(Buffer.from(Foreign.encode(foreign).finish()), encoded);
    t.deepEqual(decoded, value);
  });
}
