import { addItem } from "../base/items.ts";
import { WireReader, WireWriter } from "../base/wire.ts";

/** Keys of one call, and its arguments, also those of a remote call. RedisGears' users pass thousands. */
export const MAX_CALL_ITEMS = 65_536;

/** `gearmesh.v1.CallRequest`. Byte strings are views into the decoded message. */
export interface CallRequest {
  /** `library.function`. */
  readonly function: string;
  readonly keys: readonly Uint8Array[];
  readonly args: readonly Uint8Array[];
}

export function encodeCallRequest(request: CallRequest): Buffer {
  const writer = new WireWriter().string(1, request.function);
  for (const key of request.keys) writer.bytes(2, key);
  for (const arg of request.args) writer.bytes(3, arg);
  return writer.finish();
}

/** Throws a WireError, also for more than MAX_CALL_ITEMS keys or arguments. */
export function decodeCallRequest(message: Uint8Array): CallRequest {
  let name = "";
  const keys: Uint8Array[] = [];
  const args: Uint8Array[] = [];
  const reader = new WireReader(message);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) addItem(keys, reader.bytes(), MAX_CALL_ITEMS);
    else if (reader.field === 3) addItem(args, reader.bytes(), MAX_CALL_ITEMS);
  }
  return { function: name, keys, args };
}

/** `gearmesh.v1.CallResponse` around a Value that the sandbox has already encoded. */
export function encodeCallResponse(value: Uint8Array): Buffer {
  return new WireWriter(value.length + 8).bytes(1, value).finish();
}

/** The encoded Value of a `gearmesh.v1.CallResponse`; an empty one is null. */
export function decodeCallResponse(message: Uint8Array): Uint8Array {
  let value: Uint8Array = new Uint8Array(0);
  const reader = new WireReader(message);
  while (reader.next()) if (reader.field === 1) value = reader.bytes();
  return value;
}
