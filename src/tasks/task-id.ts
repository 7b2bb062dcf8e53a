import { createHash } from "node:crypto";
import { Fault } from "../base/fault.ts";

/** A queue that is there without being configured, and that a task is registered for which names no other. */
export const DEFAULT_QUEUE = "default";

const QUEUE = /^[A-Za-z0-9._-]{1,128}$/;
const OWN_KEY = /^[A-Za-z0-9_-]{1,64}$/;
/** Precedes the key of every task, which BullMQ would take for the name of a list of its own if it were `wait`. */
const KEY_START = "t-";

/** Where a task is: the queue, the partition's number in it, and the task's key within the partition. */
export interface TaskAddress {
  readonly queue: string;
  readonly partition: string;
  readonly key: string;
}

/** Throws INVALID_ARGUMENT. */
export function checkQueue(queue: string): void {
  if (!QUEUE.test(queue))
    throw new Fault("INVALID_ARGUMENT", "the name of a queue has 1 to 128 letters, digits and ._-");
}

export function partitionId(queue: string, number: number): string {
  return `${queue}.${number}`;
}

export function queueOf(partition: string): string {
  return partition.slice(0, partition.lastIndexOf("."));
}

export function taskId(partition: string, key: string): string {
  return `${partition}:${key}`;
}

/** Throws UNKNOWN_TASK for what is no task's id. */
export function parseTaskId(id: string): TaskAddress {
  const colon = id.lastIndexOf(":");
  const partition = id.slice(0, Math.max(0, colon));
  if (!/^[A-Za-z0-9._-]{1,128}\.\d{1,15}$/.test(partition) || colon === id.length - 1 || id.length > 512) {
    throw new Fault("UNKNOWN_TASK", "no task has such an id");
  }
  return { queue: queueOf(partition), partition, key: id.slice(colon + 1) };
}

/** The key of a task whose sender gave it an id. Throws INVALID_ARGUMENT. */
export function keyOfSender(id: string): string {
  if (!OWN_KEY.test(id)) throw new Fault("INVALID_ARGUMENT", "the id of a task has 1 to 64 letters, digits, _ and -");
  return `${KEY_START}${id}`;
}

/** Makes keys that nobody else makes: `origin` is the process's own. */
export function keyMaker(origin: string): () => string {
  const start = `${KEY_START}${origin.replaceAll("-", "").slice(0, 16)}-`;
  let count = 0;
  return () => `${start}${(count++).toString(36)}`;
}

/** One of `count`, the same one for the same text on every node. */
export function indexOf(text: string, count: number): number {
  return count === 1 ? 0 : createHash("sha1").update(text).digest().readUInt32BE(0) % count;
}

/** What tasks are duplicates by that name no id: the same name and arguments in the same second. */
export function sameSecondId(name: string, args: Uint8Array | undefined, dueAtMs: number): string {
  const hash = createHash("sha1").update(name).update("\0");
  if (args) hash.update(args);
  return `at:${Math.floor(dueAtMs / 1000)}:${hash.digest("base64url")}`;
}
