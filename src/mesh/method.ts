import type { CallContext } from "../base/call-context.ts";

/**
 * What a request asks for: the number of the body's field in `gearmesh.v1.Request`. The mesh carries the body as bytes;
 * each capability encodes its own.
 */
export const METHOD = {
  CALL: 5,
  RUN_REMOTE: 6,
  PREPARE_LIBRARY: 7,
  ADOPT_LIBRARY: 8,
  REFRESH_TOPOLOGY: 9,
  SHARE_LIBRARIES: 10,
  ASKING_CALL: 11,
  RPC_CALL: 12,
  RUN_METHOD: 13,
  APPLY: 14,
  APPLY_HELD: 15,
  OPEN_CONNECTION: 16,
  VERB: 17,
  REGISTER_METHOD: 18,
  UNREGISTER_METHOD: 19,
  TAKE_OVER_CONNECTION: 20,
  PUBLISH: 21,
  DELIVER_PUBLISHED: 22,
  SYNC_INTEREST: 23,
  DELIVER_ROOM_MESSAGE: 24,
  NUDGE_ROOM: 25,
  SHARE_ROOM_HOOKS: 26,
  STORAGE_GET: 27,
  STORAGE_PUT: 28,
  COMPARE_AND_SET: 29,
  STORAGE_DELETE: 30,
  GRANT_LEASE: 31,
  RENEW_LEASE: 32,
  REVOKE_LEASE: 33,
  GET_LEASE: 34,
  SHARE_STORAGE_WATCHES: 35,
  NUDGE_STORAGE: 36,
  AWAIT_SERVING: 37,
  CACHE_SAVE: 40,
  CACHE_LOAD: 41,
  CACHE_DESTROY: 42,
  CACHE_COMPARE_AND_SET: 43,
  CACHE_GET_OR_LOCK: 44,
  CACHE_LOCK: 45,
  CACHE_UNLOCK: 46,
  CACHE_CHECK_LOCK: 47,
  CACHE_RENEW_LOCK: 48,
  CACHE_PUSH: 49,
  CACHE_POP: 50,
  CACHE_LIST_LENGTH: 51,
  CACHE_SAVE_MANY: 52,
  CACHE_LOAD_MANY: 53,
  ENQUEUE_TASK: 60,
  ENQUEUE_TASKS: 61,
  NUDGE_TASKS: 62,
} as const;
export type Method = (typeof METHOD)[keyof typeof METHOD];

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(METHOD).map(([name, number]) => [number, name]));

/** `_OTHER` for what is no method: what a caller makes up must become neither a label nor a name of a span. */
export function methodName(method: number): string {
  return NAMES.get(method) ?? "_OTHER";
}

/** Answers one request with the encoded result, or rejects with a Fault. */
export type Handler = (body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
export type Handlers = ReadonlyMap<number, Handler>;

/** The other end of a link, as a caller sees it. */
export interface Peer {
  readonly nodeId: string;
  /**
   * Sends one request and resolves with the encoded result. Rejects with the far side's Fault; with UNAVAILABLE when it was
   * never sent, INDETERMINATE when the link was lost after it was sent, RESOURCE_EXHAUSTED when the link's bounds are reached,
   * DEADLINE_EXCEEDED or CANCELLED by the context.
   */
  request(method: number, body: Uint8Array, context: CallContext): Promise<Uint8Array>;
}
