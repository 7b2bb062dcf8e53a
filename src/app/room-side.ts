import { NEVER_ABORTED } from "../base/call-context.ts";
import { systemClock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { type JsonValue, jsonOf, payloadOf } from "../base/json-payload.ts";
import type { Connection } from "../connections/connection.ts";
import type { RoomMembership } from "../connections/room-membership.ts";
import { applyRequest } from "../connections/session-codec.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { type Handler, METHOD, type Method } from "../mesh/method.ts";
import { roomRequest } from "../rooms/room-codec.ts";
import { createRoomNode, type RoomNode } from "../rooms/room-node.ts";
import type { LocalMembers, RoomNodes, RoomObserver, RoomRequest } from "../rooms/room-ports.ts";
import { roomRequests } from "../rooms/room-requests.ts";
import type { RoomSelf, RoomStore } from "../rooms/room-store.ts";
import type { RoomWatch } from "../rooms/room-watch.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Settings } from "./config/settings.ts";
import type { ConnectionSide } from "./connection-side.ts";
import { LogThrottle } from "./log-throttle.ts";
import { RoomHookProviders, type RoomHookProvidersParts } from "./room-hooks.ts";

/** How often a watched room is looked at without having been told to. Unit: ms. */
const WATCH_PERIOD_MS = 1000;
/** Time between two lines about rooms that cannot be reached. Unit: ms. */
const FAILURE_PERIOD_MS = 10_000;

const METHOD_OF: Record<RoomRequest, Method> = { deliver: METHOD.DELIVER_ROOM_MESSAGE, nudge: METHOD.NUDGE_ROOM };

export interface RoomSideParts extends Omit<RoomHookProvidersParts, "timeoutMs" | "clock"> {
  readonly store: RoomStore;
  readonly runId: string;
  readonly connections: () => ConnectionSide;
  readonly mesh: () => Mesh;
  readonly observer: RoomObserver;
  readonly logger: Logger;
}

/** Rooms, with everything around them. */
export interface RoomSide {
  readonly node: RoomNode;
  readonly hooks: RoomHookProviders;
  /** What connections ask of rooms. */
  readonly membership: RoomMembership;
  /** The unary methods of RoomService. */
  readonly requests: ReturnType<typeof roomRequests>;
  readonly watch: (body: Uint8Array, wake: () => void) => Promise<RoomWatch>;
  /** What other coordinators may ask. */
  readonly peerHandlers: readonly [Method, Handler][];
  start(): void;
  close(reason: string): void;
}

export function createRoomSide(settings: Settings, parts: RoomSideParts): RoomSide {
  const { store, connections, observer, logger, nodeName, nodeId, runId } = parts;
  const throttle = new LogThrottle({ periodMs: FAILURE_PERIOD_MS });
  const hooks = new RoomHookProviders({ ...parts, clock: systemClock, timeoutMs: settings.rpcTimeoutMs });
  const node = createRoomNode({
    store,
    members: localMembers(parts),
    nodes: roomNodes(parts),
    hooks,
    self: (): RoomSelf | undefined => {
      const own = nodeId();
      return own === undefined ? undefined : { runId, nodeId: own, name: nodeName() };
    },
    clock: systemClock,
    leaseMs: settings.roomLeaseMs,
    watchPeriodMs: Math.min(WATCH_PERIOD_MS, settings.roomLeaseMs / 3),
    observer,
    failed(_room, error) {
      const repeats = throttle.pass("rooms");
      if (repeats !== undefined)
        logger.warn({ error, repeats }, "a room's members could not be renewed or read; that is tried again");
    },
  });
  const { rooms, members, speech, delivery, news, watches, leases } = node;
  const moves = { join: "joinRoom", leave: "leaveRoom" } as const;
  const atHolder: Parameters<typeof roomRequests>[0]["atHolder"] = async (what, connectionId, room, context) => {
    const request = { connectionId, method: moves[what], args: [payloadOf(room)], timeoutMs: 0 };
    await connections().apply.fromClient(applyRequest.encode(request), context);
  };
  return {
    node,
    hooks,
    membership: {
      join: (connectionId, room, context) => members.join(connectionId, room, context),
      leave: (connectionId, room, context) => members.leave(connectionId, room, context),
      leaveAll: (connectionId, names) => {
        const context = { deadline: deadlineIn(settings.rpcTimeoutMs), signal: NEVER_ABORTED, depth: 0 };
        return members.leaveAll(connectionId, names, context);
      },
      adopt: (connectionId, names) => members.adopt(connectionId, names),
      view: (room) => rooms.view(room),
      async say(connectionId, room, message, context) {
        await speech.say(connectionId, room, message, context);
      },
    },
    requests: roomRequests({ rooms, speech, atHolder }),
    watch: async (body, wake) => watches.watch(decodeRequest(roomRequest.decode, body).room, wake),
    peerHandlers: [
      [METHOD.DELIVER_ROOM_MESSAGE, (body, context) => delivery.fromPeer(body, context)],
      [METHOD.NUDGE_ROOM, (body) => news.fromPeer(body)],
      [METHOD.SHARE_ROOM_HOOKS, (body) => hooks.fromPeer(body)],
    ],
    start() {
      leases.start();
      watches.start();
      hooks.start();
    },
    close(reason) {
      leases.stop();
      watches.close(reason);
      hooks.stop();
    },
  };
}

function localMembers({ connections, nodeName }: RoomSideParts): LocalMembers {
  const heldOf = (connectionId: string): Connection | undefined => connections().held.get(connectionId);
  return {
    isHeld: (connectionId) => heldOf(connectionId) !== undefined,
    deliver(connectionId, content) {
      const connection = heldOf(connectionId);
      connection?.deliver(content);
      return connection !== undefined;
    },
    describe(connectionId) {
      const connection = heldOf(connectionId);
      return connection && sanitised(connection, nodeName());
    },
    removed(connectionId, room) {
      const connection = heldOf(connectionId);
      if (!connection?.rooms.delete(room)) return;
      // So that it is not looked for where the connection is resumed; there it would be found to be gone.
      connection.inTurn(() => connections().held.persist(connection)).catch(() => undefined);
    },
  };
}

function roomNodes({ mesh }: RoomSideParts): RoomNodes {
  return {
    peer(nodeId) {
      const peer = mesh().peer(nodeId);
      return peer && { request: (what, body, context) => peer.request(METHOD_OF[what], body, context) };
    },
  };
}

/** What hooks may know of a connection: not who its client is, nor where. */
function sanitised(connection: Connection, node: string): JsonValue {
  const { id, type, connectedAtMs, rooms, attributes, params } = connection.details(node);
  return {
    id,
    type,
    connectedAt: connectedAtMs,
    node,
    rooms,
    attributes: jsonOf(attributes),
    params: jsonOf(params),
  };
}
