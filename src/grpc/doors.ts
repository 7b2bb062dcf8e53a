import type { Server, ServerCredentials } from "@grpc/grpc-js";
import type { Address } from "../base/address.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import { type CacheServiceParts, cacheService, cacheServiceDefinition } from "./cache-service.ts";
import { type ConnectionServiceParts, connectionService, connectionServiceDefinition } from "./connection-service.ts";
import { loadDefinitions } from "./definitions.ts";
import type { DoorAccess } from "./door-access.ts";
import { doorInterceptor, type RpcObserver } from "./door-interceptor.ts";
import { CALL_STREAM_METHOD, MESH_SERVICE } from "./frame-methods.ts";
import { type FunctionServiceParts, functionService, functionServiceDefinition } from "./function-service.ts";
import { GrpcServer } from "./grpc-server.ts";
import { Health } from "./health.ts";
import { frameHandler } from "./link-service.ts";
import type { ListenerObserver } from "./listener-watch.ts";
import { type PubSubServiceParts, pubSubService, pubSubServiceDefinition } from "./pubsub-service.ts";
import { createReflection } from "./reflection.ts";
import { type RoomServiceParts, roomService, roomServiceDefinition } from "./room-service.ts";
import { type RpcServiceParts, rpcService, rpcServiceDefinition } from "./rpc-service.ts";
import { type StorageServiceParts, storageService, storageServiceDefinition } from "./storage-service.ts";
import { clientFrameHandler, type StreamCaller } from "./stream-caller.ts";
import { type TaskServiceParts, taskService, taskServiceDefinition } from "./task-service.ts";
import { type TopologyServiceParts, topologyService } from "./topology-service.ts";
import { withMalformedAsFaults } from "./unary.ts";

export interface DoorsParts {
  readonly listen: Address;
  readonly credentials: ServerCredentials;
  readonly access: DoorAccess;
  /** Largest message either way. Unit: bytes. */
  readonly maxMessageBytes: number;
  /** How long calls may finish once the doors close. Unit: ms. */
  readonly drainTimeoutMs: number;
  readonly reflection: boolean;
  readonly observer: RpcObserver;
  readonly listenerObserver: ListenerObserver;
  readonly functions: FunctionServiceParts;
  readonly topology: TopologyServiceParts;
  readonly connections: ConnectionServiceParts;
  readonly rpc: RpcServiceParts;
  readonly pubSub: PubSubServiceParts;
  readonly rooms: RoomServiceParts;
  readonly storage: StorageServiceParts;
  readonly cache: CacheServiceParts;
  readonly tasks: TaskServiceParts;
  /** Takes a client's call stream; its token has been checked. */
  readonly acceptCallStream: (stream: FrameStream, caller: StreamCaller) => void;
  /** Takes another coordinator's link, which has yet to prove its token. */
  readonly acceptLink: (stream: FrameStream) => void;
}

export interface Doors {
  readonly server: GrpcServer;
  readonly health: Health;
}

/** Puts every service behind one listener. Nothing listens before `server.start()`. */
export function createDoors(parts: DoorsParts): Doors {
  const definitions = loadDefinitions();
  const health = new Health(
    [
      "FunctionService",
      "TopologyService",
      "ConnectionService",
      "RpcService",
      "PubSubService",
      "RoomService",
      "StorageService",
      "CacheService",
      "TaskService",
    ].map((name) => `gearmesh.v1.${name}`),
  );
  const register = (server: Server): void => {
    health.addTo(server);
    server.addService(
      { ...functionServiceDefinition(definitions), CallStream: CALL_STREAM_METHOD },
      { ...functionService(parts.functions), CallStream: clientFrameHandler(parts.functions, parts.acceptCallStream) },
    );
    server.addService(withMalformedAsFaults({ ...definitions.topology }), topologyService(parts.topology));
    server.addService(connectionServiceDefinition(definitions), connectionService(parts.connections));
    server.addService(rpcServiceDefinition(definitions), rpcService(parts.rpc));
    server.addService(pubSubServiceDefinition(definitions), pubSubService(parts.pubSub));
    server.addService(roomServiceDefinition(definitions), roomService(parts.rooms));
    server.addService(storageServiceDefinition(definitions), storageService(parts.storage));
    server.addService(cacheServiceDefinition(definitions), cacheService(parts.cache));
    server.addService(taskServiceDefinition(definitions), taskService(parts.tasks));
    server.addService(MESH_SERVICE, { Link: frameHandler(parts.acceptLink) });
    if (parts.reflection) createReflection(definitions.packages).addToServer(server);
  };
  const server = new GrpcServer(
    {
      listen: parts.listen,
      credentials: parts.credentials,
      interceptors: [doorInterceptor(parts)],
      observer: parts.listenerObserver,
      maxMessageBytes: parts.maxMessageBytes,
      drainTimeoutMs: parts.drainTimeoutMs,
    },
    register,
  );
  return { server, health };
}
