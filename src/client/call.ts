import { Buffer } from "node:buffer";
import { encodeCallRequest } from "../functions/call-codec.ts";
import type { RepeatableOptions } from "./coordinators.ts";

export interface CallOptions extends RepeatableOptions {
  /** They decide on which shard the function runs, must lie in one slot, and are given to it before `args`. */
  readonly keys?: readonly (string | Uint8Array)[];
  readonly args?: readonly (string | Uint8Array)[];
  /** Bulk strings of the reply as Buffers rather than strings. Default: false. */
  readonly raw?: boolean;
}

/** The encoded CallRequest. */
export function encodeCall(name: string, { keys = [], args = [] }: CallOptions): Buffer {
  return encodeCallRequest({ function: name, keys: keys.map(bytesOf), args: args.map(bytesOf) });
}

/** A text as UTF-8; bytes as they are, without a copy. */
export function bytesOf(text: string | Uint8Array): Buffer {
  return typeof text === "string" ? Buffer.from(text) : Buffer.from(text.buffer, text.byteOffset, text.byteLength);
}
