import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { Shards } from "../functions/shards.ts";
import { createDoors, type Doors } from "../grpc/doors.ts";
import { maxFrameBytes } from "../mesh/limits.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { PubSub } from "../pubsub/pubsub.ts";
import type { ClusterRefresh } from "../topology/cluster-refresh.ts";
import type { AccessSide } from "./access-side.ts";
import type { CacheSide } from "./cache-side.ts";
import type { CallStreams } from "./call-streams.ts";
import type { Settings } from "./config/settings.ts";
import type { ConnectionSide } from "./connection-side.ts";
import type { ConnectionStreams } from "./connection-streams.ts";
import type { FunctionSide } from "./function-side.ts";
import { streamLimits } from "./mesh-side.ts";
import type { Observers } from "./observers.ts";
import { coordinatorAddress } from "./peer-shards.ts";
import type { RedisSide } from "./redis-side.ts";
import type { RoomSide } from "./room-side.ts";
import type { RpcSide } from "./rpc-side.ts";
import type { StorageSide } from "./storage-side.ts";
import type { TaskSide } from "./task-side.ts";

/** From the end of what still runs when the drain time is over to the end of its connections: its callers get an answer. Unit: ms. */
const LAST_ANSWERS_MS = 500;

/** What is behind the doors. */
export interface DoorSideParts {
  readonly observers: Pick<Observers, "rpcs" | "listener" | "bugs">;
  readonly scope: RequestScope;
  readonly access: Pick<AccessSide, "door">;
  readonly spans: Spans;
  readonly redis: Pick<RedisSide, "topology" | "name">;
  readonly refresh: ClusterRefresh;
  readonly shards: Pick<Shards, "isActive" | "slotOf">;
  readonly functions: FunctionSide;
  readonly connections: ConnectionSide;
  readonly connectionStreams: ConnectionStreams;
  readonly rpc: RpcSide;
  readonly pubSub: PubSub;
  readonly rooms: RoomSide;
  readonly storage: StorageSide;
  readonly cache: CacheSide;
  readonly tasks: TaskSide;
  readonly mesh: Mesh;
  readonly callStreams: CallStreams;
}

/** The listener, and behind it every service, handed what it needs. */
export function createDoorSide(settings: Settings, parts: DoorSideParts): Doors {
  const { drainTimeoutMs, mode, callTimeoutMs, maxCallTimeoutMs } = settings;
  const { observers, shards, mesh, pubSub, connections, functions, rooms } = parts;
  const { topology, name } = parts.redis;
  const { access } = parts.access.door;
  const { lifecycle, registry, calls, sandbox } = functions;
  const unary = {
    timeouts: { defaultMs: callTimeoutMs, maxMs: maxCallTimeoutMs },
    observer: observers.bugs,
    scope: parts.scope,
    spans: parts.spans,
    isAdmin: access.isAdmin.bind(access),
  };
  return createDoors({
    listen: settings.listen,
    ...parts.access.door,
    maxMessageBytes: maxFrameBytes(streamLimits(settings)),
    drainTimeoutMs: drainTimeoutMs + LAST_ANSWERS_MS,
    reflection: settings.reflection,
    observer: observers.rpcs,
    listenerObserver: observers.listener,
    functions: {
      ...unary,
      lifecycle,
      registry,
      quarantine: (hash) => sandbox.quarantine(hash),
      call: (body, context) => calls.fromClient(body, context),
    },
    topology: {
      ...unary,
      topology: () => topology.current(),
      onChange: (listener) => topology.subscribe(listener),
      refreshCluster: (context) => parts.refresh.everywhere(context),
      slotOf: shards.slotOf,
      coordinatorAddress: ({ address }) => coordinatorAddress(address, settings),
      isLinked: (nodeId) => mesh.peer(nodeId) !== undefined,
      isActive: () => shards.isActive(),
      mode,
      nodeName: () => name.current,
    },
    connections: {
      ...unary,
      open: (stream, caller) => parts.connectionStreams.accept(stream, caller),
      apply: (body, context) => connections.apply.fromClient(body, context),
    },
    rpc: { ...unary, call: (body, context) => parts.rpc.router.fromClient(body, context) },
    pubSub: {
      ...unary,
      publish: (body, context) => pubSub.publishFromClient(body, context),
      subscribe: (body, news) => pubSub.subscribe(body, news),
    },
    rooms: { ...unary, requests: rooms.requests, watch: rooms.watch },
    storage: { ...unary, ...parts.storage },
    cache: { ...unary, ...parts.cache },
    tasks: { ...unary, ...parts.tasks },
    acceptCallStream: (stream, caller) => parts.callStreams.accept(stream, caller),
    acceptLink: (stream) => mesh.accept(stream),
  });
}
