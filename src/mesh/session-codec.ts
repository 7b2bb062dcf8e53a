import { Buffer } from "node:buffer";
import { addItem } from "../base/items.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import type {
  ChallengeEnvelope,
  GoAwayEnvelope,
  HelloEnvelope,
  PingEnvelope,
  PongEnvelope,
  ProofEnvelope,
  ReceivedEnvelope,
} from "./envelope.ts";

/** The kinds that a stream itself needs, rather than a call: seldom, and encoded without haste. */
export type SessionEnvelope =
  | PingEnvelope
  | PongEnvelope
  | GoAwayEnvelope
  | HelloEnvelope
  | ChallengeEnvelope
  | ProofEnvelope
  | ReceivedEnvelope;

/** Number of each kind's field in `gearmesh.v1.Envelope`. */
export const SESSION_FIELD = {
  ping: 4,
  pong: 5,
  goAway: 6,
  hello: 7,
  challenge: 8,
  proof: 9,
  received: 11,
} as const satisfies Record<SessionEnvelope["kind"], number>;

const NO_BYTES = Buffer.alloc(0);

/** The body of the kind's field. */
export function encodeSessionKind(envelope: SessionEnvelope): Buffer {
  const writer = new WireWriter();
  const uint = (field: number, value: number) => value !== 0 && writer.uint(field, value);
  const string = (field: number, value: string) => value !== "" && writer.string(field, value);
  const bytes = (field: number, value: Uint8Array) => value.length !== 0 && writer.bytes(field, value);
  switch (envelope.kind) {
    case "ping":
      uint(1, envelope.nonce);
      string(2, envelope.topologyHash);
      uint(3, envelope.epoch);
      string(4, envelope.nodeName);
      break;
    case "pong":
      uint(1, envelope.nonce);
      string(2, envelope.topologyHash);
      bytes(3, envelope.confirmation);
      string(4, envelope.nodeName);
      break;
    case "goAway":
      string(1, envelope.reason);
      break;
    case "hello":
      uint(1, envelope.version);
      uint(2, envelope.oldestVersion);
      string(3, envelope.namespace);
      string(4, envelope.nodeId);
      string(5, envelope.runId);
      string(6, envelope.expectedNodeId);
      bytes(7, envelope.nonce);
      string(8, envelope.topologyHash);
      break;
    case "challenge":
      uint(1, envelope.version);
      string(2, envelope.nodeId);
      string(3, envelope.runId);
      bytes(4, envelope.nonce);
      string(5, envelope.topologyHash);
      break;
    case "proof":
      for (const mac of envelope.macs) writer.bytes(1, mac);
      break;
    case "received":
      uint(1, envelope.sequence);
      break;
  }
  return writer.finish();
}

/** The kind at the reader's current field; undefined for one that this release does not know. Throws a WireError. */
export function decodeSessionKind(reader: WireReader): SessionEnvelope | undefined {
  switch (reader.field) {
    case SESSION_FIELD.ping:
      return decodePing(reader.bytes());
    case SESSION_FIELD.pong:
      return decodePong(reader.bytes());
    case SESSION_FIELD.goAway:
      return decodeGoAway(reader.bytes());
    case SESSION_FIELD.hello:
      return decodeHello(reader.bytes());
    case SESSION_FIELD.challenge:
      return decodeChallenge(reader.bytes());
    case SESSION_FIELD.proof:
      return decodeProof(reader.bytes());
    case SESSION_FIELD.received:
      return decodeReceived(reader.bytes());
    default:
      return undefined;
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function decodePing(bytes: Uint8Array): PingEnvelope {
  const ping: Mutable<PingEnvelope> = { kind: "ping", nonce: 0, topologyHash: "", epoch: 0, nodeName: "" };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) ping.nonce = reader.uint();
    else if (reader.field === 2) ping.topologyHash = reader.string();
    else if (reader.field === 3) ping.epoch = reader.uint();
    else if (reader.field === 4) ping.nodeName = reader.string();
  }
  return ping;
}

function decodePong(bytes: Uint8Array): PongEnvelope {
  const pong: Mutable<PongEnvelope> = {
    kind: "pong",
    nonce: 0,
    topologyHash: "",
    confirmation: NO_BYTES,
    nodeName: "",
  };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) pong.nonce = reader.uint();
    else if (reader.field === 2) pong.topologyHash = reader.string();
    else if (reader.field === 3) pong.confirmation = reader.bytes();
    else if (reader.field === 4) pong.nodeName = reader.string();
  }
  return pong;
}

function decodeGoAway(bytes: Uint8Array): GoAwayEnvelope {
  let reason = "";
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === 1) reason = reader.string();
  return { kind: "goAway", reason };
}

function decodeHello(bytes: Uint8Array): HelloEnvelope {
  const hello: Mutable<HelloEnvelope> = {
    kind: "hello",
    version: 0,
    oldestVersion: 0,
    namespace: "",
    nodeId: "",
    runId: "",
    expectedNodeId: "",
    nonce: NO_BYTES,
    topologyHash: "",
  };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) hello.version = reader.uint();
    else if (reader.field === 2) hello.oldestVersion = reader.uint();
    else if (reader.field === 3) hello.namespace = reader.string();
    else if (reader.field === 4) hello.nodeId = reader.string();
    else if (reader.field === 5) hello.runId = reader.string();
    else if (reader.field === 6) hello.expectedNodeId = reader.string();
    else if (reader.field === 7) hello.nonce = reader.bytes();
    else if (reader.field === 8) hello.topologyHash = reader.string();
  }
  return hello;
}

function decodeChallenge(bytes: Uint8Array): ChallengeEnvelope {
  const challenge: Mutable<ChallengeEnvelope> = {
    kind: "challenge",
    version: 0,
    nodeId: "",
    runId: "",
    nonce: NO_BYTES,
    topologyHash: "",
  };
  const reader = new WireReader(bytes);
  while (reader.next()) {
    if (reader.field === 1) challenge.version = reader.uint();
    else if (reader.field === 2) challenge.nodeId = reader.string();
    else if (reader.field === 3) challenge.runId = reader.string();
    else if (reader.field === 4) challenge.nonce = reader.bytes();
    else if (reader.field === 5) challenge.topologyHash = reader.string();
  }
  return challenge;
}

function decodeProof(bytes: Uint8Array): ProofEnvelope {
  const macs: Uint8Array[] = [];
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === 1) addItem(macs, reader.bytes());
  return { kind: "proof", macs };
}

function decodeReceived(bytes: Uint8Array): ReceivedEnvelope {
  let sequence = 0;
  const reader = new WireReader(bytes);
  while (reader.next()) if (reader.field === 1) sequence = reader.uint();
  return { kind: "received", sequence };
}
