import { Buffer } from "node:buffer";
import { addItem } from "../base/items.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import { MAX_CALL_ITEMS } from "./call-codec.ts";

/** `gearmesh.v1.RunRemoteRequest`. */
export interface RunRemoteRequest {
  readonly library: string;
  /** SHA-256 in hex here, 32 bytes on the wire. */
  readonly hash: string;
  readonly function: string;
  /** Encoded payloads. */
  readonly args: readonly Uint8Array[];
  /** Slot of the key the call was routed by, if it was routed by one. */
  readonly slot: number | undefined;
  /** See Run. */
  readonly asking: boolean;
  /** Of the map by which it is sent to every shard; empty where it is not. */
  readonly topologyHash: string;
}

/** `gearmesh.v1.RunRemoteResponse`. */
export interface RunRemoteResponse {
  /** Encoded. */
  readonly payload: Uint8Array;
  /** Whether the shard knows another map than the one that the request named. */
  readonly topologyDiffers: boolean;
}

export function encodeRunRemoteRequest(request: RunRemoteRequest): Buffer {
  const writer = new WireWriter()
    .string(1, request.library)
    .bytes(2, Buffer.from(request.hash, "hex"))
    .string(3, request.function);
  for (const arg of request.args) writer.bytes(4, arg);
  if (request.slot !== undefined) writer.uint(5, request.slot + 1);
  if (request.asking) writer.uint(6, 1);
  if (request.topologyHash !== "") writer.string(7, request.topologyHash);
  return writer.finish();
}

/** Throws a WireError, also for more than MAX_CALL_ITEMS arguments. */
export function decodeRunRemoteRequest(message: Uint8Array): RunRemoteRequest {
  let library = "";
  let hash = "";
  let name = "";
  let slot: number | undefined;
  let asking = false;
  let topologyHash = "";
  const args: Uint8Array[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) library = reader.string();
    else if (reader.field === 2) hash = reader.bytes().toString("hex");
    else if (reader.field === 3) name = reader.string();
    else if (reader.field === 4) addItem(args, reader.bytes(), MAX_CALL_ITEMS);
    else if (reader.field === 5) slot = reader.uint() - 1;
    else if (reader.field === 6) asking = reader.uint() === 1;
    else if (reader.field === 7) topologyHash = reader.string();
  }
  return { library, hash, function: name, args, slot, asking, topologyHash };
}

export function encodeRunRemoteResponse({ payload, topologyDiffers }: RunRemoteResponse): Buffer {
  const writer = new WireWriter(payload.length + 10).bytes(1, payload);
  return (topologyDiffers ? writer.uint(2, 1) : writer).finish();
}

export function decodeRunRemoteResponse(message: Uint8Array): RunRemoteResponse {
  let payload: Uint8Array = new Uint8Array(0);
  let topologyDiffers = false;
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) payload = reader.bytes();
    else if (reader.field === 2) topologyDiffers = reader.uint() === 1;
  }
  return { payload, topologyDiffers };
}
