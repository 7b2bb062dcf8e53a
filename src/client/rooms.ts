import { type JsonValue, payloadOf } from "../base/json-payload.ts";
import type { MessageCodec } from "../base/message.ts";
import type { Definitions } from "../grpc/definitions.ts";
import {
  broadcastRequest,
  broadcastResponse,
  countResponse,
  listRoomsResponse,
  memberRequest,
  roomMember,
  roomRequest,
  roomStatusResponse,
  watchRoomResponse,
} from "../rooms/room-codec.ts";
import type { RoomMethod } from "../rooms/room-requests.ts";
import type { Coordinators } from "./coordinators.ts";
import { passedThrough, type RpcOptions } from "./rpc-channel.ts";

/** What others may know of a member. */
export interface RoomMember {
  /** Id of the connection. */
  readonly id: string;
  readonly joinedAt: Date;
  /** Name of the coordinator that holds it. */
  readonly node: string;
}

export interface RoomStatus {
  readonly room: string;
  /** All of them, also where there are more than `members` shows. */
  readonly membersCount: number;
  /** By connection id. */
  readonly members: ReadonlyMap<string, RoomMember>;
}

/** Who came and who went. */
export type RoomEvent =
  /** Once, and first. */
  | { readonly kind: "status"; readonly status: RoomStatus }
  | { readonly kind: "joined"; readonly member: RoomMember }
  | { readonly kind: "left"; readonly id: string }
  /** The last one. */
  | { readonly kind: "destroyed" };

/** How far a message went. */
export interface RoomReach {
  /** Nodes with members that took it. */
  readonly nodes: number;
  /** Members it was queued for. */
  readonly receivers: number;
}

export interface RoomsParts {
  readonly coordinators: Coordinators;
  readonly definitions: Definitions;
  /** For calls that name no other. Unit: ms. */
  readonly timeoutMs: number;
}

/** The rooms of the cluster. Every method rejects with a Fault. */
export class Rooms {
  readonly #parts: RoomsParts;

  constructor(parts: RoomsParts) {
    this.#parts = parts;
  }

  /** Names of all rooms, in alphabetical order. */
  async list(options: RpcOptions = {}): Promise<readonly string[]> {
    return listRoomsResponse.decode(await this.#unary("ListRooms", new Uint8Array(), options)).rooms;
  }

  /** 1: the room was made. Rejects with ROOM_EXISTS. */
  add(room: string, options: RpcOptions = {}): Promise<number> {
    return this.#count("AddRoom", room, options);
  }

  /** Tells the members, and resolves with how many there were. */
  destroy(room: string, options: RpcOptions = {}): Promise<number> {
    return this.#count("DestroyRoom", room, options);
  }

  async exists(room: string, options: RpcOptions = {}): Promise<boolean> {
    return (await this.#count("RoomExists", room, options)) === 1;
  }

  /** Who is in the room. */
  async roomStatus(room: string, options: RpcOptions = {}): Promise<RoomStatus> {
    return statusOf(roomStatusResponse.decode(await this.#unary("RoomStatus", roomRequest.encode({ room }), options)));
  }

  /** Brings a connection into a room, wherever it is held. */
  async addMember(connectionId: string, room: string, options: RpcOptions = {}): Promise<void> {
    await this.#unary("AddMember", memberRequest.encode({ connectionId, room }), options);
  }

  /** Takes a connection out of a room, wherever it is held. */
  async removeMember(connectionId: string, room: string, options: RpcOptions = {}): Promise<void> {
    await this.#unary("RemoveMember", memberRequest.encode({ connectionId, room }), options);
  }

  /** Says something in a room. `from`: a connection that is in it; "0" or empty: a server. */
  async broadcast(
    from: string,
    room: string,
    message: JsonValue | Uint8Array,
    options: RpcOptions = {},
  ): Promise<RoomReach> {
    const body = broadcastRequest.encode({ from, room, message: payloadOf(message) });
    return broadcastResponse.decode(await this.#unary("Broadcast", body, options));
  }

  /** Who is in the room now, and every change, until it is destroyed, the loop over it ends or the signal aborts. */
  async *watch(room: string, options: Pick<RpcOptions, "signal"> = {}): AsyncGenerator<RoomEvent, void, undefined> {
    const { coordinators, definitions } = this.#parts;
    const body = Buffer.from(roomRequest.encode({ room }));
    for await (const event of coordinators.watch(passedThrough(definitions.rooms.WatchRoom.path), body, options)) {
      yield eventOf(event);
    }
  }

  async #count(method: RoomMethod, room: string, options: RpcOptions): Promise<number> {
    return countResponse.decode(await this.#unary(method, roomRequest.encode({ room }), options)).count;
  }

  #unary(method: RoomMethod, body: Uint8Array, options: RpcOptions): Promise<Buffer> {
    const { coordinators, definitions, timeoutMs } = this.#parts;
    const { path } = definitions.rooms[method];
    return coordinators.unary(passedThrough(path), Buffer.from(body), { timeoutMs, ...options });
  }
}

function statusOf({ room, membersCount, members }: Decoded<typeof roomStatusResponse>): RoomStatus {
  const decoded = [...members].map(([id, member]) => [id, memberOf(roomMember.decode(member))] as const);
  return { room, membersCount, members: new Map(decoded) };
}

function memberOf({ id, joinedAtMs, node }: Decoded<typeof roomMember>): RoomMember {
  return { id, joinedAt: new Date(joinedAtMs), node };
}

function eventOf(bytes: Uint8Array): RoomEvent {
  const { status, joined, left } = watchRoomResponse.decode(bytes);
  if (status) return { kind: "status", status: statusOf(status) };
  if (joined) return { kind: "joined", member: memberOf(joined) };
  return left === undefined ? { kind: "destroyed" } : { kind: "left", id: left };
}

type Decoded<Codec> = Codec extends MessageCodec<infer T> ? T : never;
