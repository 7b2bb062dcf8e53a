import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";

/** Longest name of a message type, as UTF-8. Unit: bytes. */
const MAX_TYPE_BYTES = 256;

/** Types that one subscription may name. */
const MAX_SUBSCRIPTION_TYPES = 1024;

/** Types with subscribers on one node, and so those that each of its peers keeps of it: 16 MiB of names. */
export const MAX_NODE_TYPES = 65_536;

/** Throws INVALID_ARGUMENT for what cannot be the name of a message type. */
export function checkMessageType(messageType: string): void {
  const bytes = Buffer.byteLength(messageType);
  if (bytes >= 1 && bytes <= MAX_TYPE_BYTES) return;
  throw new Fault("INVALID_ARGUMENT", `a message type has 1 to ${MAX_TYPE_BYTES} bytes, this one has ${bytes}`);
}

/** The types of a subscription, each once. Throws INVALID_ARGUMENT. */
export function checkedMessageTypes(messageTypes: readonly string[]): ReadonlySet<string> {
  if (messageTypes.length < 1 || messageTypes.length > MAX_SUBSCRIPTION_TYPES) {
    const text = `a subscription names 1 to ${MAX_SUBSCRIPTION_TYPES} message types, this one ${messageTypes.length}`;
    throw new Fault("INVALID_ARGUMENT", text);
  }
  for (const messageType of messageTypes) checkMessageType(messageType);
  return new Set(messageTypes);
}
