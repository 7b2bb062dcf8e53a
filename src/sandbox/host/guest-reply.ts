import { isUtf8 } from "node:buffer";
import { Fault, type FaultCode } from "../../base/fault.ts";
import { RedisErrorReply, type RedisReply } from "../../functions/shard-redis.ts";

/** First item of an answer that is an array; see the guest's `Answer`. */
const OK = 0;
const FAILED = 1;

/** A reply as a guest can take it: a primitive as it is, anything else in a tagged array, which is copied on its way. Throws Fault. */
export function answerWith(reply: RedisReply, isRaw: boolean): unknown {
  const value = converted(reply, isRaw);
  return typeof value === "object" && value !== null ? [OK, value] : value;
}

/** What went wrong, likewise. */
export function answerWithFault(code: FaultCode, message: string): unknown {
  return [FAILED, code, message];
}

/** Whether Redis answered in place of running the command: with an error that bids its sender to go elsewhere, or to come again. */
export function wasNotRun(reply: RedisReply): boolean {
  return reply instanceof RedisErrorReply && codeOf(reply.message) !== "FUNCTION_FAILED";
}

/** What a MOVED of Redis says; undefined: the reply is none. */
export function movedText(reply: RedisReply): string | undefined {
  return reply instanceof RedisErrorReply && reply.message.startsWith("MOVED ") ? reply.message : undefined;
}

/** As the library sees it: bulk as a string, or as an ArrayBuffer where `isRaw`; a map as an object. */
function converted(reply: RedisReply, isRaw: boolean): unknown {
  if (typeof reply !== "object" || reply === null) return reply;
  if (Buffer.isBuffer(reply)) return isRaw ? arrayBufferOf(reply) : textOf(reply);
  if (reply instanceof RedisErrorReply) throw new Fault(codeOf(reply.message), reply.message);
  if (reply instanceof Set) return new Set([...reply].map((item) => converted(item, isRaw)));
  if (reply instanceof Map) {
    return Object.fromEntries([...reply].map(([key, value]) => [propertyName(key), converted(value, isRaw)]));
  }
  return (reply as readonly RedisReply[]).map((item) => converted(item, isRaw));
}

function propertyName(key: RedisReply): string {
  return Buffer.isBuffer(key) ? textOf(key) : String(key);
}

/** Throws FUNCTION_FAILED: what is not UTF-8 would come out altered. */
export function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new Fault("FUNCTION_FAILED", "Could not decode value as string");
  const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString("utf8");
}

/** The bytes alone, without whatever else the view's buffer holds. */
export function arrayBufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

/** What an error reply means for the run if the library does not catch it. */
function codeOf(message: string): FaultCode {
  switch (message.split(" ", 1)[0]) {
    case "MOVED":
    case "ASK":
    case "TRYAGAIN":
      return "MOVED";
    case "CLUSTERDOWN":
    case "LOADING":
    case "MASTERDOWN":
      return "UNAVAILABLE";
    default:
      return "FUNCTION_FAILED";
  }
}
