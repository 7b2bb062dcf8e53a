import type { Library__Output } from "../grpc/generated/gearmesh/v1/Library.ts";

export interface LoadedLibrary {
  readonly library: string;
  /** Names this version everywhere: SHA-256 in hex. */
  readonly hash: string;
  /** Grows with every load and delete of the library. */
  readonly revision: number;
  /** Addresses of coordinators that have not adopted the version yet. */
  readonly pending: readonly string[];
}

export interface RolledBackLibrary extends Omit<LoadedLibrary, "library"> {
  /** The revision whose text and configuration are loaded again. */
  readonly restoredRevision: number;
}

export interface LibraryDescription {
  readonly name: string;
  readonly hash: string;
  readonly revision: number;
  /** The one that a rollback would restore. 0: there is none. */
  readonly previousRevision: number;
  /** Version of the functions API, from the library's header. */
  readonly apiVersion: string;
  /** JSON. */
  readonly config: string;
  readonly functions: readonly FunctionDescription[];
  readonly remoteFunctions: readonly string[];
  /** In the order of `remoteFunctions`. */
  readonly remoteCounters: readonly RunCounters[];
  readonly rpcMethods: readonly string[];
  /** In the order of `rpcMethods`. */
  readonly rpcCounters: readonly RunCounters[];
  /** Names of its tasks. */
  readonly tasks: readonly string[];
  /** In the order of `tasks`. */
  readonly taskCounters: readonly RunCounters[];
  /** At which it runs something around tasks. */
  readonly taskStages: readonly string[];
  /** In the order of `taskStages`. */
  readonly stageCounters: readonly RunCounters[];
  /** Empty unless it was asked for. */
  readonly text: string;
  /** `ok`, or `quarantined: ` and why the shard of this coordinator refuses its calls. */
  readonly state: string;
}

export interface FunctionDescription {
  readonly name: string;
  readonly isAsync: boolean;
  readonly flags: readonly string[];
  readonly description: string;
  readonly counters: RunCounters;
}

/** Runs that have ended on the coordinator that was asked, and on no other, since it adopted this version. */
export interface RunCounters {
  readonly calls: number;
  /** As many of the calls as ended with a fault. */
  readonly errors: number;
  /** All calls together. Unit: s. */
  readonly totalSeconds: number;
}

/** An older coordinator counts nothing, and knows no state. */
const NO_RUNS: RunCounters = { calls: 0, errors: 0, totalSeconds: 0 };

export function libraryOf(message: Library__Output): LibraryDescription {
  return {
    ...message,
    functions: message.functions.map(({ counters, ...info }) => ({ ...info, counters: counters ?? NO_RUNS })),
    state: message.state || "ok",
    remoteCounters: message.remoteFunctions.map((_name, index) => message.remoteCounters[index] ?? NO_RUNS),
    rpcCounters: message.rpcMethods.map((_name, index) => message.rpcCounters[index] ?? NO_RUNS),
    taskCounters: message.tasks.map((_name, index) => message.taskCounters[index] ?? NO_RUNS),
    stageCounters: message.taskStages.map((_name, index) => message.stageCounters[index] ?? NO_RUNS),
  };
}
