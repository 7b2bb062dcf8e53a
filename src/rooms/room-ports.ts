import type { CallContext } from "../base/call-context.ts";
import type { JsonValue } from "../base/json-payload.ts";

/** The connections that are held here. */
export interface LocalMembers {
  /** Stands for the connection for as long as it is held here; it is another one where the connection was elsewhere meanwhile. Undefined where it is not held here. */
  held(connectionId: string): object | undefined;
  /** Does something that no joining or leaving of the connection comes between; nothing where it is not held here. Rejects with RESOURCE_EXHAUSTED, and as `action` does. */
  inTurn(connectionId: string, action: () => Promise<void>): Promise<void>;
  /** Queues an encoded `gearmesh.v1.Delivery` without its sequence; false where the connection is not held here. */
  deliver(connectionId: string, content: Uint8Array): boolean;
  /** What a hook may know of a connection; undefined where it is not held here. */
  describe(connectionId: string): JsonValue | undefined;
  /** The connection is not in the room any more, without its own doing: the room is gone. */
  removed(connectionId: string, room: string): void;
}

/** What coordinators tell each other of rooms. */
export type RoomRequest = "deliver" | "nudge";

export interface RoomPeer {
  /** Sends at once, in the order of the calls. Resolves with the encoded answer; rejects with a Fault. */
  request(what: RoomRequest, body: Uint8Array, context: CallContext): Promise<Uint8Array>;
}

/** The other coordinators. */
export interface RoomNodes {
  /** The one beside this Redis node; undefined while there is no link to it. */
  peer(nodeId: string): RoomPeer | undefined;
}

/** Where somebody may have a say in what happens in rooms. `say` is asked once for each receiver, `onSayReceive` once for each message. */
export type RoomHook = "room.join" | "room.leave" | "room.say" | "room.onSayReceive";

/** Whoever provides hooks. */
export interface RoomHooks {
  /** Whether anybody provides the hook. Costs next to nothing. */
  isProvided(hook: RoomHook): boolean;
  /**
   * Takes and resolves with encoded payloads; with undefined where nobody provides the hook any more. Rejects with METHOD_FAILED where the hook refuses, and with another fault where it
   * could not be asked.
   */
  call(hook: RoomHook, args: readonly Uint8Array[], context: CallContext): Promise<Uint8Array | undefined>;
}

/** Told what happens, for the metrics. */
export interface RoomObserver {
  /** Something was said here. */
  said(): void;
  /** It was queued for members that are held here. */
  delivered(receivers: number): void;
}
