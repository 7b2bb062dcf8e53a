import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { decodeCallResponse } from "../functions/call-codec.ts";
import { decodeValue, type Value } from "../functions/value.ts";

/**
 * What a function returned. Integers are bigints, other numbers are numbers; a bulk string is a string or, on request, a Buffer. An
 * object of the function is a Map; the bulk strings among its keys are strings always, since bytes make no useful keys.
 */
export type Reply =
  | null
  | boolean
  | bigint
  | number
  | string
  | Buffer
  | readonly Reply[]
  | ReadonlySet<Reply>
  | ReadonlyMap<Reply, Reply>;

/** Reads an encoded CallResponse. `raw`: bulk strings as Buffers, which keeps bytes that are not UTF-8. */
export function decodeReply(response: Uint8Array, raw: boolean): Reply {
  let value: Value;
  try {
    value = decodeValue(decodeCallResponse(response));
  } catch (cause) {
    throw new Fault("INTERNAL", "the coordinator sent a malformed reply", { cause });
  }
  return replyOf(value, raw);
}

function replyOf(value: Value, raw: boolean): Reply {
  if (value === null || typeof value !== "object") return value;
  if (value instanceof Uint8Array) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    // A copy: a view would keep the whole message in memory.
    return raw ? Buffer.from(bytes) : bytes.toString("utf8");
  }
  if (value instanceof Set) return new Set([...(value as ReadonlySet<Value>)].map((item) => replyOf(item, raw)));
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<Value, Value>)];
    return new Map(entries.map(([key, item]) => [replyOf(key, false), replyOf(item, raw)]));
  }
  return (value as readonly Value[]).map((item) => replyOf(item, raw));
}
