import { decodeRequest } from "../../base/decode-request.ts";
import { decodePayload, encodePayload, type Payload } from "../../base/payload.ts";
import type { Run, ShardOutcome } from "../../functions/sandbox-port.ts";
import { encodeValue } from "../../functions/value.ts";
import type { RemoteAnswer } from "../orders.ts";
import type { CallableFunction } from "./function-table.ts";
import { arrayBufferOf, textOf } from "./guest-reply.ts";
import type { HostRun } from "./host-run.ts";

/** How an argument from outside enters an isolate: as text, unless the function takes it raw. */
export function argumentFor({ rawArguments }: CallableFunction): (arg: Uint8Array) => string | ArrayBuffer {
  return rawArguments ? arrayBufferOf : textOf;
}

/** A payload as it enters an isolate. Throws INVALID_ARGUMENT: whoever calls a method has made it. */
export function payloadArgument(message: Uint8Array): string | ArrayBuffer {
  const payload = decodeRequest(decodePayload, message);
  return typeof payload === "string" ? payload : arrayBufferOf(payload);
}

/** As the guest's Run takes them. */
export function flatOutcomes({ snapshot, outcomes }: RemoteAnswer): (boolean | string | ArrayBuffer | null)[] {
  return [snapshot ? JSON.stringify(snapshot) : null, ...outcomes.flatMap(flatOutcome)];
}

function flatOutcome(outcome: ShardOutcome): (boolean | string | ArrayBuffer)[] {
  if (!outcome.ok) return [false, outcome.error];
  try {
    return [true, payloadArgument(outcome.payload)];
  } catch {
    return [false, "Failed deserializing remote function result"];
  }
}

/** A payload that came out of one. */
export function crossed(payload: unknown): Payload {
  return payload instanceof ArrayBuffer ? new Uint8Array(payload) : String(payload);
}

/** The key of a remote call by key; undefined: it is for every shard. */
export function keyBytes(key: unknown): Uint8Array | undefined {
  if (key === null || key === undefined) return undefined;
  return key instanceof ArrayBuffer ? new Uint8Array(key) : Buffer.from(String(key));
}

/** What the guest gives as a remote call's own timeout; 0: it has none. */
export function ownTimeoutMs(timeoutMs: unknown): number | undefined {
  return Number.isSafeInteger(timeoutMs) && Number(timeoutMs) > 0 ? Number(timeoutMs) : undefined;
}

/** Whether arguments and result of a run are payloads. */
export function takesPayloads({ kind }: Run): boolean {
  return kind !== "function";
}

/** What the guest made of a result: a payload, an encoded value, or a primitive. */
export function encodedResult({ run }: HostRun, result: unknown): Uint8Array {
  if (takesPayloads(run)) return encodePayload(crossed(result));
  if (result instanceof ArrayBuffer) return new Uint8Array(result);
  switch (typeof result) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return encodeValue(result);
    default:
      return encodeValue(null);
  }
}
