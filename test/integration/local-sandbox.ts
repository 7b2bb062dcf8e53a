import { fileURLToPath } from "node:url";
import type { SandboxRedis } from "../../src/app/sandbox-redis.ts";
import type { CallContext } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { decodePayload, encodePayload, type Payload } from "../../src/base/payload.ts";
import { librarySource } from "../../src/functions/library-version.ts";
import type { ClusterCalls, RemoteCalls } from "../../src/functions/sandbox-port.ts";
import { decodeValue, type Value } from "../../src/functions/value.ts";
import type { ProcessEnd } from "../../src/sandbox/sandbox-process.ts";
import type { SandboxLimits } from "../../src/sandbox/settings.ts";
import { SandboxSupervisor } from "../../src/sandbox/supervisor.ts";
import { type LocalRedis, startRedis } from "./local-redis.ts";

const ENTRY = fileURLToPath(new URL("../../src/app/sandbox-process.ts", import.meta.url));

export interface LocalSandbox extends AsyncDisposable {
  readonly redis: LocalRedis;
  readonly supervisor: SandboxSupervisor;
  /** Lines of redis.log, after the library's name. */
  readonly logged: string[];
  /** How its processes ended. */
  readonly ends: ProcessEnd[];
  /** Libraries that were, in turn. */
  readonly quarantined: string[];
  /** What libraries published. */
  readonly published: Published[];
  /** Loads a library and resolves with its hash. */
  load(text: string, config?: string): Promise<string>;
  /** Calls a function; bulk strings come as text. */
  call(
    hash: string,
    name: string,
    args?: readonly (string | Uint8Array)[],
    context?: Partial<CallContext>,
  ): Promise<unknown>;
  /** Runs an RPC method. */
  method(hash: string, name: string, args?: readonly Payload[]): Promise<Payload>;
}

interface Published {
  readonly messageType: string;
  readonly payload: Payload;
}

/** Whatever is published reaches as many; but of this type, nothing is. */
export const SUBSCRIBERS = 3;
export const REFUSED_TYPE = "refused";

/** A sandbox with a process and a Redis of its own, whose remote calls come back to itself: a cluster of one shard. What it publishes is kept. */
export async function startSandbox(limits: Partial<SandboxLimits> = {}): Promise<LocalSandbox> {
  const redis = await startRedis();
  const logged: string[] = [];
  const ends: ProcessEnd[] = [];
  const quarantined: string[] = [];
  const published: Published[] = [];
  const endpoint = { host: redis.host, port: redis.port };
  const sandboxRedis: SandboxRedis = { endpoint, connectionName: "sandbox", allowedCommands: [] };
  const supervisor = new SandboxSupervisor({
    entry: ENTRY,
    configuration: { limits: { ...DEFAULT_LIMITS, ...limits }, redis: sandboxRedis },
    credentials: async () => ({}),
    observer: {
      started: () => undefined,
      ended: (end) => ends.push(end),
      moved: () => undefined,
      logged: (library, text) => logged.push(`${library}: ${text}`),
      memory: () => undefined,
      quarantined: (library) => quarantined.push(library),
    },
  });
  supervisor.start({
    remote: loopback(supervisor),
    publish: async (messageType, payload) => {
      if (messageType === REFUSED_TYPE) throw new Fault("UNAVAILABLE", "nobody publishes this");
      published.push({ messageType, payload: decodePayload(payload) });
      return SUBSCRIBERS;
    },
  } satisfies ClusterCalls);
  return {
    redis,
    supervisor,
    logged,
    ends,
    quarantined,
    published,
    async load(text, config = "{}") {
      const name = /name=(\w+)/.exec(text)?.[1] ?? "";
      const source = librarySource(name, text, config);
      await supervisor.load(source);
      return source.hash;
    },
    async call(hash, name, args = [], context = {}) {
      const bytes = args.map((arg) => (typeof arg === "string" ? Buffer.from(arg) : arg));
      const run = { hash, function: name, kind: "function", args: bytes } as const;
      return readable(decodeValue(await supervisor.run(run, { ...outside(), ...context })));
    },
    async method(hash, name, args = []) {
      const run = { hash, function: name, kind: "method", args: args.map(encodePayload) } as const;
      return decodePayload(await supervisor.run(run, outside()));
    },
    async [Symbol.asyncDispose]() {
      await supervisor.close();
      await redis[Symbol.asyncDispose]();
    },
  };
}

/** Times that also a busy machine keeps: those that are tried are what a test says. */
const DEFAULT_LIMITS: SandboxLimits = {
  libraryMaxMemoryMb: 64,
  runTimeoutMs: 5000,
  loadTimeoutMs: 5000,
  lockRedisTimeoutMs: 5000,
  maxResultBytes: 64 * 1024,
  maxIsolates: 4,
  errorVerbosity: 1,
};

function outside(): CallContext {
  return { deadline: deadlineIn(60_000), signal: new AbortController().signal, depth: 0 };
}

function loopback(supervisor: SandboxSupervisor): RemoteCalls {
  const runOnKey: RemoteCalls["runOnKey"] = ({ hash, context, remoteFunction, args }) =>
    supervisor.run({ hash, function: remoteFunction, kind: "remote", args }, context);
  return {
    runOnKey,
    async runOnShards(call) {
      const snapshot = { version: 1, masters: ["127.0.0.1:6379"], hasChanged: false };
      try {
        return { snapshot, outcomes: [{ ok: true, payload: await runOnKey(call, new Uint8Array(0)) }] };
      } catch (thrown) {
        return { snapshot, outcomes: [{ ok: false, error: Fault.from(thrown).message }] };
      }
    },
  };
}

function readable(value: Value): unknown {
  if (Buffer.isBuffer(value)) return value.toString("utf8");
  if (value instanceof Set) return new Set([...value].map(readable));
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [readable(key), readable(item)]));
  return Array.isArray(value) ? value.map(readable) : value;
}
