import { createLocalMembers } from "../../src/app/local-members.ts";
import { NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import { payloadOf } from "../../src/base/json-payload.ts";
import { applyRequest } from "../../src/connections/session-codec.ts";
import { createRoomNode, type RoomNode } from "../../src/rooms/room-node.ts";
import type { RoomStore } from "../../src/rooms/room-store.ts";
import { ConnectionNetwork, type ConnectionNode, contextOf, settled } from "./connection-network.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryRoomStore } from "./memory-room-store.ts";

export const ROOM_LEASE_MS = 9000;

type Verb = "join" | "leave" | "renew" | "restore";

/** A node's way to the rooms in Redis. */
export class RoomStoreLink {
  /** What is refused at once; it was not done. */
  readonly refused = new Map<Verb, FaultCode>();
  /** How long each request, and each answer, takes. Unlike over one connection, one may overtake another: a script that Redis did not know is sent once more. */
  latency: (verb: Verb, leg: "request" | "answer") => Promise<void> = async () => undefined;
  readonly store: RoomStore;

  constructor(store: MemoryRoomStore) {
    const through =
      <Args extends unknown[], T>(verb: Verb, method: (...args: Args) => Promise<T>) =>
      async (...args: Args): Promise<T> => {
        const refusal = this.refused.get(verb);
        if (refusal) throw new Fault(refusal, "Redis is away");
        await this.latency(verb, "request");
        const result = await method.apply(store, args);
        await this.latency(verb, "answer");
        return result;
      };
    this.store = Object.assign(Object.create(store) as MemoryRoomStore, {
      join: through("join", store.join),
      leave: through("leave", store.leave),
      renew: through("renew", store.renew),
      // What is sent is what was there then.
      restore: (...[room, incarnation, self, held]: Parameters<RoomStore["restore"]>) => {
        const sent = { members: new Map(held.members), undecided: new Set(held.undecided) };
        return through("restore", store.restore)(room, incarnation, self, sent);
      },
    });
  }
}

/** Nodes that hold connections, and the rooms that these are in. */
export class MemberNetwork {
  readonly rooms: readonly string[];
  readonly clock = new ManualClock();
  readonly store = new MemoryRoomStore(this.clock, ROOM_LEASE_MS);
  readonly connections: ConnectionNetwork;
  readonly #parts = new Map<ConnectionNode, { readonly link: RoomStoreLink; readonly room: RoomNode }>();

  constructor(rooms: readonly string[]) {
    this.rooms = rooms;
    const { clock } = this;
    this.connections = new ConnectionNetwork({
      clock,
      rooms: (node) => {
        const link = new RoomStoreLink(this.store);
        const room = createRoomNode({
          store: link.store,
          members: createLocalMembers(
            () => node.held,
            () => node.name,
          ),
          nodes: { peer: () => undefined },
          hooks: { isProvided: () => false, call: async () => undefined },
          self: () => ({ nodeId: node.name, runId: `run of ${node.name}`, name: node.name }),
          clock,
          leaseMs: ROOM_LEASE_MS,
          watchPeriodMs: ROOM_LEASE_MS,
          observer: { said: () => undefined, delivered: () => undefined },
          failed: () => undefined,
        });
        this.#parts.set(node, { link, room });
        const { members } = room;
        return {
          join: (id, name, context) => members.join(id, name, context),
          leave: (id, name, context) => members.leave(id, name, context),
          leaveAll: (id, names) =>
            members.leaveAll(id, names, { deadline: deadlineIn(10_000), signal: NEVER_ABORTED, depth: 0 }),
          adopt: (id, names) => members.adopt(id, names),
          forget: (id) => members.forget(id),
          view: async () => null,
          say: async () => undefined,
        };
      },
    });
    for (const name of rooms) void this.store.add(name);
    for (const node of this.nodes) {
      node.leases.start();
      this.roomsAt(node).leases.start();
    }
  }

  get nodes(): readonly ConnectionNode[] {
    return this.connections.nodes;
  }

  linkOf(node: ConnectionNode): RoomStoreLink {
    return this.#at(node).link;
  }

  roomsAt(node: ConnectionNode): RoomNode {
    return this.#at(node).room;
  }

  /** Asks a node, as a server does, to bring a connection into a room or out of it. */
  async move(
    node: ConnectionNode,
    connectionId: string,
    method: "joinRoom" | "leaveRoom",
    room: string,
  ): Promise<void> {
    const request = { connectionId, method, args: [payloadOf(room)], timeoutMs: 0 };
    await node.apply.fromClient(applyRequest.encode(request), contextOf());
  }

  /** Until every lease was renewed twice. */
  async renewals(): Promise<void> {
    for (let i = 0; i < 6; i++) {
      this.clock.advance(ROOM_LEASE_MS / 3);
      await settled();
    }
  }

  /** The rooms that a connection is in, as each tells it: its details, its node, and Redis. */
  async roomsOf(connectionId: string): Promise<readonly (readonly string[])[]> {
    const told: string[][] = [];
    for (const node of this.nodes) {
      const connection = node.held.get(connectionId);
      if (!connection) continue;
      told.push([...connection.rooms].sort(), [...this.roomsAt(node).local.roomsOf(connectionId)].sort());
    }
    const kept: string[] = [];
    for (const room of this.rooms) if ((await this.store.status(room))?.members.has(connectionId)) kept.push(room);
    return [...told, kept.sort()];
  }

  #at(node: ConnectionNode): { readonly link: RoomStoreLink; readonly room: RoomNode } {
    const parts = this.#parts.get(node);
    if (!parts) throw new Error(`${node.name} is not of this network`);
    return parts;
  }
}
