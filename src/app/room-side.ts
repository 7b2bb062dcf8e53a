import { NEVER_ABORTED } from "../base/call-context.ts";
import { systemClock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { payloadOf } from "../base/json-payload.ts";
import type { RoomMembership } from "../connections/room-membership.ts";
import { applyRequest } from "../connections/session-codec.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { type Handler, METHOD, type Method } from "../mesh/method.ts";
import { roomRequest } from "../rooms/room-codec.ts";
import { createRoomNode, type RoomNode } from "../rooms/room-node.ts";
import type { RoomNodes, RoomRequest } from "../rooms/room-ports.ts";
import { roomRequests } from "../rooms/room-requests.ts";
import type { RoomSelf, RoomStore } from "../rooms/room-store.ts";
import type { RoomWatch } from "../rooms/room-watch.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { RoomRecorder } from "../telemetry/room-metrics.ts";
import type { Settings } from "./config/settings.ts";
import type { ConnectionSide } from "./connection-side.ts";
import { createLocalMembers } from "./local-members.ts";
import { LogThrottle } from "./log-throttle.ts";
import { observed } from "./observed.ts";
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
  readonly observer: RoomRecorder;
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
    members: createLocalMembers(() => connections().held, nodeName),
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
      join: observed(members.join.bind(members), (...end) => observer.ended("join", ...end)),
      leave: observed(members.leave.bind(members), (...end) => observer.ended("leave", ...end)),
      leaveAll: (connectionId, names) => {
        const context = { deadline: deadlineIn(settings.rpcTimeoutMs), signal: NEVER_ABORTED, depth: 0 };
        return members.leaveAll(connectionId, names, context);
      },
      adopt: (connectionId, names) => members.adopt(connectionId, names),
      forget: (connectionId) => members.forget(connectionId),
      view: observed(
        (room: string) => rooms.view(room),
        (...end) => observer.ended("view", ...end),
      ),
      say: observed(
        async (...said: Parameters<RoomMembership["say"]>) => void (await speech.say(...said)),
        (...end) => observer.ended("say", ...end),
      ),
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

function roomNodes({ mesh }: RoomSideParts): RoomNodes {
  return {
    peer(nodeId) {
      const peer = mesh().peer(nodeId);
      return peer && { request: (what, body, context) => peer.request(METHOD_OF[what], body, context) };
    },
  };
}
