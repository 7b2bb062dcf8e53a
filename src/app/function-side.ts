import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Spans } from "../base/spans.ts";
import { Admission } from "../functions/admission.ts";
import { CallRouter } from "../functions/call-router.ts";
import type { FaultPoints } from "../functions/fault-points.ts";
import { LibraryCommit } from "../functions/library-commit.ts";
import { type LevellingObserver, LibraryLevelling } from "../functions/library-levelling.ts";
import { LibraryLifecycle } from "../functions/library-lifecycle.ts";
import { LibraryRegistry } from "../functions/library-registry.ts";
import { LibraryShelf, type LibraryShelfParts } from "../functions/library-shelf.ts";
import { RemoteRouter } from "../functions/remote-router.ts";
import type { ClusterCalls } from "../functions/sandbox-port.ts";
import { type RunObserver, ShardRunner } from "../functions/shard-runner.ts";
import type { Shards } from "../functions/shards.ts";
import { connectionName } from "../redis/connection-name.ts";
import type { RedisCredentials } from "../redis/redis-endpoint.ts";
import type { LibraryMethods } from "../rpc/method-table.ts";
import type { SandboxConfiguration } from "../sandbox/settings.ts";
import { SandboxSupervisor } from "../sandbox/supervisor.ts";
import type { SandboxObserver } from "../sandbox/supervisor-parts.ts";
import type { RecordStore } from "../storage/records.ts";
import type { Settings } from "./config/settings.ts";
import { libraryRecords } from "./library-records.ts";
import { redisLocation } from "./redis-side.ts";
import type { SandboxRedis } from "./sandbox-redis.ts";

/** The repository holds .ts, and what is published .js. */
const SANDBOX_ENTRY = fileURLToPath(new URL(`./sandbox-process${extname(import.meta.url)}`, import.meta.url));

/** What a message to a peer may hold beside the version of a library. */
const MESSAGE_OVERHEAD_BYTES = 1024;

/** Libraries, and everything that runs them. */
export interface FunctionSide {
  readonly registry: LibraryRegistry;
  readonly lifecycle: LibraryLifecycle;
  readonly levelling: LibraryLevelling;
  readonly calls: CallRouter;
  readonly remote: RemoteRouter;
  /** RPC methods of the libraries that are served here. */
  readonly methods: LibraryMethods;
  readonly runner: ShardRunner;
  readonly sandbox: SandboxSupervisor;
  start(): void;
  /** Ends every run, too. Idempotent. */
  close(): Promise<void>;
}

export interface FunctionSideParts {
  readonly shards: Shards;
  readonly records: RecordStore;
  readonly functionCredentials: () => Promise<RedisCredentials>;
  readonly runs: RunObserver;
  readonly sandboxObserver: SandboxObserver;
  readonly levelling: LevellingObserver;
  /** What libraries publish: see ClusterCalls. */
  readonly publish: ClusterCalls["publish"];
  /** See LibraryShelfParts. */
  readonly checkTasks: LibraryShelfParts["checkTasks"];
  /** Whether every node has a method of this name: libraries may not. */
  readonly isBuiltIn: (method: string) => boolean;
  /** See ShardRunner. */
  readonly isLevel: () => boolean;
  readonly faults: FaultPoints;
  readonly spans: Spans;
}

export function createFunctionSide(
  settings: Settings,
  runId: string,
  {
    shards,
    records: store,
    functionCredentials,
    runs,
    sandboxObserver,
    levelling: observer,
    publish,
    isBuiltIn,
    checkTasks,
    isLevel,
    faults,
    spans,
  }: FunctionSideParts,
): FunctionSide {
  const registry = new LibraryRegistry();
  const sandbox = new SandboxSupervisor({
    entry: SANDBOX_ENTRY,
    configuration: sandboxConfiguration(settings, runId),
    credentials: functionCredentials,
    observer: sandboxObserver,
  });
  const shelf = new LibraryShelf({
    registry,
    sandbox,
    isBuiltIn,
    checkTasks,
    retentionMs: settings.maxCallTimeoutMs,
    faults,
  });
  const records = libraryRecords(store);
  const maxVersionBytes = settings.maxMessageBytes - MESSAGE_OVERHEAD_BYTES;
  const commit = new LibraryCommit({ registry, records, maxVersionBytes, faults });
  const lifecycle = new LibraryLifecycle({ registry, shelf, commit, shards, faults });
  const levelling = new LibraryLevelling({ registry, shelf, records, shards, observer, faults });
  const runner = new ShardRunner({
    registry,
    sandbox,
    admission: new Admission(settings),
    shards,
    observer: runs,
    isLevel,
    level: () => levelling.level(),
    faults,
    spans,
  });
  let closing: Promise<void> | undefined;
  const remote = new RemoteRouter({ runner, registry, shards, remoteTimeoutMs: settings.remoteTaskDefaultTimeoutMs });
  return {
    registry,
    lifecycle,
    levelling,
    methods: {
      has: (method) => registry.method(method) !== undefined,
      mayHaveMore: () => !isLevel(),
      run: ({ method, args, slot }, context) => runner.method({ name: method, args, slot }, context),
    },
    calls: new CallRouter(runner, shards),
    remote,
    runner,
    sandbox,
    start: () => sandbox.start({ remote, publish }),
    close() {
      shelf.close();
      closing ??= sandbox.close();
      return closing;
    },
  };
}

function sandboxConfiguration(settings: Settings, runId: string): SandboxConfiguration<SandboxRedis> {
  return {
    // Named one by one: the settings hold secrets that the sandbox process must not have.
    limits: {
      libraryMaxMemoryMb: settings.libraryMaxMemoryMb,
      runTimeoutMs: settings.runTimeoutMs,
      loadTimeoutMs: settings.loadTimeoutMs,
      lockRedisTimeoutMs: settings.lockRedisTimeoutMs,
      maxResultBytes: settings.maxResultBytes,
      maxIsolates: settings.maxIsolates,
      errorVerbosity: settings.errorVerbosity,
    },
    redis: {
      endpoint: redisLocation(settings),
      connectionName: connectionName(settings.namespace, runId, "sandbox"),
      allowedCommands: settings.allowedCommands,
    },
  };
}
