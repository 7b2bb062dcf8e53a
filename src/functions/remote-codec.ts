import { Buffer } from "node:buffer";
import { WireReader, WireWriter } from "../base/wire.ts";

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
}

export function encodeRunRemoteRequest(request: RunRemoteRequest): Buffer {
  const writer = new WireWriter()
    .string(1, request.library)
    .bytes(2, Buffer.from(request.hash, "hex"))
    .string(3, request.function);
  for (const arg of request.args) writer.bytes(4, arg);
  if (request.slot !== undefined) writer.uint(5, request.slot + 1);
  if (request.asking) writer.uint(6, 1);
  return writer.finish();
}

export function decodeRunRemoteRequest(message: Uint8Array): RunRemoteRequest {
  let library = "";
  let hash = "";
  let name = "";
  let slot: number | undefined;
  let asking = false;
  const args: Uint8Array[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) library = reader.string();
    else if (reader.field === 2) hash = reader.bytes().toString("hex");
    else if (reader.field === 3) name = reader.string();
    else if (reader.field === 4) args.push(reader.bytes());
    else if (reader.field === 5) slot = reader.uint() - 1;
    else if (reader.field === 6) asking = reader.uint() === 1;
  }
  return { library, hash, function: name, args, slot, asking };
}

/** `gearmesh.v1.RunRemoteResponse` around a Payload that the sandbox has already encoded. */
export function encodeRunRemoteResponse(payload: Uint8Array): Buffer {
  return new WireWriter(payload.length + 8).bytes(1, payload).finish();
}

/** The encoded Payload of a `gearmesh.v1.RunRemoteResponse`. */
export function decodeRunRemoteResponse(message: Uint8Array): Uint8Array {
  let payload: Uint8Array = new Uint8Array(0);
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === 1) payload = reader.bytes();
  return payload;
}
