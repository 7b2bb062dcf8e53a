import type { CallContext } from "../base/call-context.ts";
import type { MiddlewareRegistration, TaskRegistration } from "./task-registration.ts";

/** One version of a library, as its author wrote it. */
export interface LibrarySource {
  readonly name: string;
  /** SHA-256 over name, text and configuration, in hex; names the version everywhere. */
  readonly hash: string;
  readonly text: string;
  /** A JSON object. */
  readonly config: string;
}

export interface FunctionInfo {
  readonly name: string;
  readonly isAsync: boolean;
  readonly flags: readonly FunctionFlag[];
  readonly description: string;
}

export const FUNCTION_FLAGS = ["no-writes", "allow-oom", "raw-arguments"] as const;
export type FunctionFlag = (typeof FUNCTION_FLAGS)[number];

/** What a library registered while it was loaded. */
export interface Registrations {
  readonly functions: readonly FunctionInfo[];
  readonly remoteFunctions: readonly string[];
  readonly rpcMethods: readonly string[];
  readonly tasks: readonly TaskRegistration[];
  readonly middleware: readonly MiddlewareRegistration[];
}

export const NO_REGISTRATIONS: Registrations = {
  functions: [],
  remoteFunctions: [],
  rpcMethods: [],
  tasks: [],
  middleware: [],
};

/** One run of a function that a loaded library registered. */
export interface Run {
  /** The version to run. */
  readonly hash: string;
  readonly function: string;
  /**
   * `function`: called from outside; `args` are the call's keys and arguments, each as its bytes; the result is an
   * encoded `gearmesh.v1.Value`.
   * `remote`: called by another run; reads only; `args` and the result are encoded `gearmesh.v1.Payload`s.
   * `method`: called by whoever calls methods; `function` is the method's name; `args` and the result are as those of `remote`.
   * `task`: one attempt of a task, whose name `function` is; `middleware`: what runs around tasks at the stage that `function` names. Both have args
   * and results as `remote` has.
   */
  readonly kind: "function" | "remote" | "method" | "task" | "middleware";
  readonly args: readonly Uint8Array[];
  /** The run's slot is on its way to this shard: its Redis answers for it where it is told ASKING before each command. */
  readonly asking?: boolean;
  /** Told of each of its blocks, before it is settled; blocks without a pause between them are one. Each costs a message: leave it out where nobody wants to know. */
  readonly blockEnded?: (block: BlockTimes) => void;
  /** Of a task: told how far it is, in an encoded `gearmesh.v1.Payload`, until it is settled. Of what its function tells within 100 ms only the newest comes, and the last one in any case. */
  readonly progressed?: (progress: Uint8Array) => void;
}

/** From a block's first command to the end of its code. */
export interface BlockTimes {
  /** Since 1970. Unit: ms, with a fraction. */
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

/** What a run asks of the cluster. Payloads stay encoded: only sandboxes look inside. */
export interface RemoteCalls {
  /** Runs `remoteFunction` of the same library version on the shard that owns `key`. Rejects with a Fault. */
  runOnKey(call: RemoteCall, key: Uint8Array): Promise<Uint8Array>;
  /** Runs it on every shard. Never rejects for one shard's failure. */
  runOnShards(call: RemoteCall): Promise<ShardsReply>;
}

/** What a run can have done beyond its own shard. */
export interface ClusterCalls {
  readonly remote: RemoteCalls;
  /** Resolves with the number of subscribers that a message reached. `payload` is an encoded Payload. Rejects with a Fault. */
  publish(messageType: string, payload: Uint8Array, context: CallContext): Promise<number>;
}

/** What came back from every shard. */
export interface ShardsReply {
  readonly snapshot: Snapshot;
  /** One for each of its masters. */
  readonly outcomes: readonly ShardOutcome[];
}

/** The shards that a call was sent to: those of one topology. */
export interface Snapshot {
  /** Of the topology: the coordinator's own counter. */
  readonly version: number;
  /** `host:port` of every master that owned slots by it, in shard order. */
  readonly masters: readonly string[];
  /** Whether, by the last answer, the coordinator or a shard that answered knew another topology: what moved may be missing, or be there twice. */
  readonly hasChanged: boolean;
}

export interface RemoteCall {
  /** The version of the library whose run makes the call, and the run's own context. */
  readonly hash: string;
  readonly context: CallContext;
  readonly remoteFunction: string;
  /** The call's own time, in place of that which every remote call has; the run's deadline bounds it as well. Unit: ms. */
  readonly timeoutMs: number | undefined;
  /** Of a call of every shard: where the topology changed meanwhile, it is made anew by the new one, within its time. */
  readonly rerunOnChange: boolean;
  /** Encoded payloads. */
  readonly args: readonly Uint8Array[];
}

export type ShardOutcome =
  | { readonly ok: true; readonly payload: Uint8Array }
  /** For the library: names the shard, then says what went wrong. */
  | { readonly ok: false; readonly error: string };

/**
 * Where libraries run. What they do in there is bounded and cannot harm the coordinator: it stops them at their
 * limits, outlives the death of the place they run in, and settles every run itself.
 */
export interface Sandbox {
  /** Compiles the library in a fresh isolate and runs its top level once. Rejects with LIBRARY_REFUSED. Idempotent by hash. */
  load(library: LibrarySource): Promise<Registrations>;
  /** Forgets a version. Its runs are ended with CANCELLED. */
  unload(hash: string): void;
  /**
   * Rejects with a Fault: FUNCTION_FAILED, FUNCTION_TIMEOUT, DEADLINE_EXCEEDED, CANCELLED, MOVED, UNAVAILABLE (Redis is not
   * reachable), RESOURCE_EXHAUSTED, or INDETERMINATE where the sandbox process died under it.
   */
  run(run: Run, context: CallContext): Promise<Uint8Array>;
}
