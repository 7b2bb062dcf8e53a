import { randomBytes } from "node:crypto";
import { monotonicMs } from "../base/deadline.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { within } from "../base/within.ts";
import { PeerTransport } from "../grpc/peer-transport.ts";
import { maxFrameBytes, type StreamLimits } from "../mesh/limits.ts";
import { Mesh } from "../mesh/mesh.ts";
import type { MeshObserver, TopologyNews } from "../mesh/mesh-parts.ts";
import { type Handlers, METHOD } from "../mesh/method.ts";
import type { PubSub } from "../pubsub/pubsub.ts";
import type { ClusterRefresh } from "../topology/cluster-refresh.ts";
import { decodeConfirmation, encodeConfirmation, newerOwners } from "../topology/confirmation.ts";
import type { LiveTopology } from "../topology/live-topology.ts";
import type { OwnershipLease } from "../topology/ownership-lease.ts";
import { encodeRefreshedMap } from "../topology/refresh-codec.ts";
import type { AccessSide } from "./access-side.ts";
import type { Settings } from "./config/settings.ts";
import type { ConnectionSide } from "./connection-side.ts";
import type { FunctionSide } from "./function-side.ts";
import type { RoomSide } from "./room-side.ts";
import type { RpcSide } from "./rpc-side.ts";
import type { StorageSide } from "./storage-side.ts";
import type { TaskSide } from "./task-side.ts";

/** Waits between attempts to reach a peer that is away. */
const RECONNECT = { initialMs: 50, maxMs: 1000 };

export function streamLimits(settings: Settings): StreamLimits {
  return {
    maxInFlight: settings.linkMaxInFlight,
    maxInFlightBytes: settings.linkMaxInFlightBytes,
    maxEnvelopeBytes: settings.maxMessageBytes,
  };
}

export interface MeshSideParts {
  readonly runId: string;
  readonly nodeName: () => string;
  readonly topology: LiveTopology;
  readonly ownership: OwnershipLease;
  readonly functions: FunctionSide;
  readonly rpc: RpcSide;
  readonly connections: ConnectionSide;
  readonly pubSub: PubSub;
  readonly rooms: RoomSide;
  readonly storage: StorageSide;
  readonly tasks: TaskSide;
  readonly refresh: ClusterRefresh;
  /** Resolves once this coordinator is ready for the first time. Rejects where it stops before. */
  readonly serves: Promise<void>;
  readonly access: Pick<AccessSide, "peers" | "peerTokens">;
  readonly observer: MeshObserver;
  readonly scope: RequestScope;
  readonly spans: Spans;
  readonly wheel: TimerWheel;
}

export function createMesh(settings: Settings, parts: MeshSideParts): Mesh {
  const { runId, nodeName, topology, ownership, access, observer, scope, spans, wheel } = parts;
  const limits = streamLimits(settings);
  return new Mesh({
    self: {
      namespace: settings.namespace,
      runId,
      // Asked at each handshake: it is known once Redis was reached, and another Redis may take that one's place.
      get nodeId() {
        return topology.current()?.self ?? "";
      },
    },
    nodeName,
    tokens: () => access.peerTokens(),
    topology: topologyNews(topology, ownership),
    handlers: peerHandlers(parts),
    transport: new PeerTransport({ ...access.peers, maxFrameBytes: maxFrameBytes(limits) }),
    wheel,
    settings: {
      heartbeatMs: settings.heartbeatMs,
      handshakeTimeoutMs: settings.handshakeTimeoutMs,
      drainTimeoutMs: settings.drainTimeoutMs,
      replacedTimeoutMs: settings.maxCallTimeoutMs,
      peerReturnMs: settings.peerReturnMs,
      reconnect: RECONNECT,
      limits,
      requestTimeoutMs: settings.callTimeoutMs,
    },
    observer,
    scope,
    spans,
    randomBytes,
  });
}

/** What heartbeats say, and what becomes of it. */
function topologyNews(topology: LiveTopology, ownership: OwnershipLease): TopologyNews {
  return {
    hash: () => topology.current()?.hash ?? "",
    epoch: () => topology.current()?.ownShard?.epoch ?? 0,
    confirm(claim) {
      const reading = topology.lastReading();
      if (!reading) return new Uint8Array();
      const ageMs = monotonicMs() - reading.askedAtMs;
      return encodeConfirmation({ ageMs, newerOwners: newerOwners(reading.topology, claim) });
    },
    confirmed(nodeId, askedAtMs, confirmation) {
      // One that has not reached its Redis yet has nothing to say.
      if (confirmation.length > 0) ownership.confirmed(nodeId, askedAtMs, decodeConfirmation(confirmation));
    },
  };
}

/** What other coordinators may ask of this one. */
function peerHandlers(parts: MeshSideParts): Handlers {
  const { functions, rpc, connections, pubSub, rooms, storage, tasks, refresh } = parts;
  const { calls, remote, lifecycle, levelling } = functions;
  return new Map([
    [METHOD.CALL, (body, context) => calls.fromPeer(body, context, { asking: false })],
    [METHOD.ASKING_CALL, (body, context) => calls.fromPeer(body, context, { asking: true })],
    [METHOD.RUN_REMOTE, (body, context) => remote.fromPeer(body, context)],
    [METHOD.PREPARE_LIBRARY, (body, context) => lifecycle.prepareFromPeer(body, context)],
    [METHOD.ADOPT_LIBRARY, (body) => lifecycle.adoptFromPeer(body)],
    [METHOD.SHARE_LIBRARIES, (body) => levelling.shareWithPeer(body)],
    [METHOD.RUN_METHOD, (body, context) => rpc.methods.fromPeer(body, context)],
    [METHOD.APPLY_HELD, (body, context) => connections.apply.fromPeer(body, context)],
    [METHOD.TAKE_OVER_CONNECTION, async (body) => connections.handover.fromPeer(body)],
    [METHOD.DELIVER_PUBLISHED, (body) => pubSub.deliverFromPeer(body)],
    [METHOD.SYNC_INTEREST, (body) => pubSub.syncInterestFromPeer(body)],
    ...rooms.peerHandlers,
    ...storage.peerHandlers,
    ...tasks.peerHandlers,
    [
      METHOD.AWAIT_SERVING,
      async (_body, context) => {
        await within(context, parts.serves);
        return new Uint8Array();
      },
    ],
    [METHOD.REFRESH_TOPOLOGY, async () => encodeRefreshedMap(await refresh.here())],
  ] satisfies [number, Handlers extends ReadonlyMap<number, infer Handler> ? Handler : never][]);
}
