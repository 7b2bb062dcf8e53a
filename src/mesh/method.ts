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
} as const;
export type Method = (typeof METHOD)[keyof typeof METHOD];

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
