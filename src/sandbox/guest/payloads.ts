import { ApiError } from "./api-error.ts";
import type { Payload } from "./host.ts";
import { parseJson, stringifyJson } from "./primordials.ts";
import { checkInteger, tooLarge, ValueWriter } from "./value-writer.ts";

/**
 * A top-level ArrayBuffer travels as it is, anything else as JSON; `nothing` is the text of what has no JSON, such as `undefined`. Throws what JSON.stringify
 * throws.
 */
function toPayload(value: unknown, nothing: string): Payload {
  return value instanceof ArrayBuffer ? value : (stringifyJson(value) ?? nothing);
}

/** Known before it is written as JSON, which nothing can interrupt, and which takes long for a text of some hundred MB. */
function isTooLong(value: unknown, maxBytes: number): boolean {
  return typeof value === "string" && value.length > maxBytes;
}

/** Between functions of a library: no JSON, so that reading it fails on the other side, as libraries know it. */
const NOTHING_REMOTE = "undefined";

/** Where it leaves for others, who read JSON. */
const NOTHING = "null";

/** Throws SyntaxError. */
function fromPayload(payload: Payload): unknown {
  return typeof payload === "string" ? parseJson(payload) : payload;
}

/** Of text its characters: close enough for a bound, and known without a copy. */
export function sizeOf(payload: Payload): number {
  return typeof payload === "string" ? payload.length : payload.byteLength;
}

/** The arguments of a remote call as they leave for its shard; what leaves with them takes `otherBytes`. */
export function packArguments(args: readonly unknown[], maxBytes: number, otherBytes: number): Payload[] {
  const payloads: Payload[] = [];
  let bytes = otherBytes;
  for (let i = 0; i < args.length; i++) {
    if (isTooLong(args[i], maxBytes)) throw argumentsTooLarge(maxBytes);
    let payload: Payload;
    try {
      payload = toPayload(args[i], NOTHING_REMOTE);
    } catch {
      throw new ApiError("Failed serializing arguments");
    }
    bytes += sizeOf(payload);
    payloads[i] = payload;
  }
  if (bytes > maxBytes) throw argumentsTooLarge(maxBytes);
  return payloads;
}

function argumentsTooLarge(maxBytes: number): ApiError {
  return new ApiError(`the arguments take more than ${maxBytes} bytes`, "RESOURCE_EXHAUSTED");
}

export function unpackArgument(payload: Payload): unknown {
  try {
    return fromPayload(payload);
  } catch {
    throw new ApiError("Failed deserializing remote function argument");
  }
}

/** An argument of an RPC method, which whoever called it has made. */
export function unpackMethodArgument(payload: Payload): unknown {
  try {
    return fromPayload(payload);
  } catch {
    throw new ApiError("Failed deserializing RPC method argument", "INVALID_ARGUMENT");
  }
}

export function unpackResult(payload: Payload): unknown {
  try {
    return fromPayload(payload);
  } catch {
    throw new ApiError("Failed deserializing remote function result");
  }
}

/** What a remote function returned, as it leaves for its caller. */
export function packRemoteResult(value: unknown, maxBytes: number): Payload {
  return packPayloadResult(value, maxBytes, NOTHING_REMOTE);
}

/** What an RPC method returned. */
export function packMethodResult(value: unknown, maxBytes: number): Payload {
  return packPayloadResult(value, maxBytes, NOTHING);
}

function packPayloadResult(value: unknown, maxBytes: number, nothing: string): Payload {
  if (isTooLong(value, maxBytes)) throw tooLarge(maxBytes);
  let payload: Payload;
  try {
    payload = toPayload(value, nothing);
  } catch (thrown) {
    throw new ApiError(`Failed serializing result: ${String(thrown)}`);
  }
  if (sizeOf(payload) > maxBytes) throw tooLarge(maxBytes);
  return payload;
}

/** A message to publish; what leaves with it takes `otherBytes`. */
export function packMessage(value: unknown, maxBytes: number, otherBytes: number): Payload {
  const tooLargeMessage = `the message takes more than ${maxBytes} bytes`;
  if (isTooLong(value, maxBytes)) throw new ApiError(tooLargeMessage, "RESOURCE_EXHAUSTED");
  let payload: Payload;
  try {
    payload = toPayload(value, NOTHING);
  } catch {
    throw new ApiError("Failed serializing message");
  }
  if (sizeOf(payload) + otherBytes > maxBytes) throw new ApiError(tooLargeMessage, "RESOURCE_EXHAUSTED");
  return payload;
}

/** No JSON value has this text. */
const NO_PROGRESS = "";

/** How far a task is. */
export function packProgress(value: unknown, maxBytes: number): Payload {
  if (isTooLong(value, maxBytes)) throw progressTooLarge(maxBytes);
  let payload: Payload;
  try {
    payload = toPayload(value, NO_PROGRESS);
  } catch (thrown) {
    throw new ApiError(`Failed serializing progress: ${String(thrown)}; give what JSON can say, such as a number`);
  }
  if (payload === NO_PROGRESS) {
    throw new ApiError(
      `JSON cannot say a progress of the type '${typeof value}': give one that it can, such as a number or null`,
    );
  }
  if (sizeOf(payload) > maxBytes) throw progressTooLarge(maxBytes);
  return payload;
}

function progressTooLarge(maxBytes: number): ApiError {
  const text = `the progress takes more than ${maxBytes} bytes (maxResultBytes): tell less of it, such as a number`;
  return new ApiError(text, "RESOURCE_EXHAUSTED");
}

/** What a function returned: a primitive as it is, which the host encodes faster; anything else encoded. */
export function packResult(value: unknown, maxBytes: number): unknown {
  switch (typeof value) {
    case "string":
      if (value.length > maxBytes) throw tooLarge(maxBytes);
      return value;
    case "bigint":
      checkInteger(value);
      return value;
    case "undefined":
      return null;
    case "number":
    case "boolean":
      return value;
    default: {
      if (value === null) return null;
      const writer = new ValueWriter(maxBytes);
      writer.write(value);
      return writer.finish();
    }
  }
}
