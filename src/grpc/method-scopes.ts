import type { Scope } from "./token-check.ts";

/**
 * Every method, and which scope of a token it needs. `admin` is what changes the deployment for everybody, or reads or does away with the data of many at
 * once; a method that is not here is refused to everybody. Health is open, since probes have no token; who opens a link proves on it that it knows one.
 */
const METHOD_SCOPES: Readonly<Record<string, Readonly<Record<string, Scope | "none">>>> = {
  "grpc.health.v1.Health": { Check: "none", List: "none", Watch: "none" },
  "gearmesh.v1.MeshService": { Link: "peer" },
  "gearmesh.v1.FunctionService": {
    Load: "admin",
    Delete: "admin",
    Rollback: "admin",
    List: "call",
    Call: "call",
    CallStream: "call",
  },
  "gearmesh.v1.TopologyService": {
    RefreshCluster: "admin",
    GetTopology: "call",
    WatchTopology: "call",
    LocateKey: "call",
  },
  "gearmesh.v1.ConnectionService": { Open: "call", Apply: "call" },
  "gearmesh.v1.RpcService": { Call: "call" },
  "gearmesh.v1.PubSubService": { Publish: "call", Subscribe: "call" },
  "gearmesh.v1.RoomService": {
    ListRooms: "call",
    AddRoom: "call",
    DestroyRoom: "call",
    RoomExists: "call",
    RoomStatus: "call",
    AddMember: "call",
    RemoveMember: "call",
    Broadcast: "call",
    WatchRoom: "call",
  },
  "gearmesh.v1.StorageService": {
    Get: "call",
    Put: "call",
    CompareAndSet: "call",
    Delete: "call",
    List: "call",
    GrantLease: "call",
    RenewLease: "call",
    RevokeLease: "call",
    GetLease: "call",
    Watch: "call",
  },
  "gearmesh.v1.CacheService": {
    Save: "call",
    Load: "call",
    Destroy: "call",
    CompareAndSet: "call",
    GetOrLock: "call",
    Lock: "call",
    Unlock: "call",
    CheckLock: "call",
    RenewLock: "call",
    Push: "call",
    Pop: "call",
    ListLength: "call",
    SaveMany: "call",
    LoadMany: "call",
    Keys: "call",
    Locks: "call",
    Size: "call",
    Clear: "admin",
    Dump: "admin",
    Restore: "admin",
  },
  "gearmesh.v1.TaskService": {
    Enqueue: "call",
    EnqueueBulk: "call",
    ListTasks: "call",
    DeleteTasks: "call",
    RetryTasks: "call",
    DescribeTask: "call",
    AwaitTask: "call",
    DescribeTasks: "call",
    ConfigureQueue: "admin",
    PauseQueue: "admin",
    ResumeQueue: "admin",
    DeleteQueue: "admin",
    EnqueueRecurrentTask: "call",
    EnqueueAllRecurrentTasks: "call",
    StopRecurrentTask: "call",
    CleanOldWorkers: "admin",
    Work: "call",
  },
  "grpc.reflection.v1.ServerReflection": { ServerReflectionInfo: "call" },
  "grpc.reflection.v1alpha.ServerReflection": { ServerReflectionInfo: "call" },
};

/** Undefined: there is no such method. */
export function scopeOf(service: string, method: string): Scope | "none" | undefined {
  const methods = Object.hasOwn(METHOD_SCOPES, service) ? METHOD_SCOPES[service] : undefined;
  return methods && Object.hasOwn(methods, method) ? methods[method] : undefined;
}

/** `path`: as HTTP/2 has it. */
export function isKnownPath(path: string): boolean {
  const [nothing, service = "", method = "", ...more] = path.split("/");
  return nothing === "" && more.length === 0 && scopeOf(service, method) !== undefined;
}
