/** Limits that the sandbox process keeps. */
export interface SandboxLimits {
  /** Heap of one library's isolate. Unit: MB. Default: 128. */
  readonly libraryMaxMemoryMb: number;
  /** Longest a function may run without a pause; waiting for Redis does not count. Unit: ms. Default: 500. */
  readonly runTimeoutMs: number;
  /** Longest a library's top level may run. Unit: ms. Default: 5000. */
  readonly loadTimeoutMs: number;
  /** Longest a block may hold its shard. Unit: ms. Default: 500. */
  readonly lockRedisTimeoutMs: number;
  /** Largest result of a function, and the most that the arguments of one remote call, a message to publish, or the progress of a task may take. Unit: bytes. Default: 8 MiB. */
  readonly maxResultBytes: number;
  /** Isolates that a library may ask for. Default: 4. */
  readonly maxIsolates: number;
  /** 2: errors of a library carry the stack. */
  readonly errorVerbosity: number;
}

/**
 * All that a sandbox process is told, in the first frame on its socket: neither its arguments nor its environment hold a secret.
 * `Redis` is whatever the composition root of the process needs to reach its shard; it is handed through as JSON.
 */
export interface SandboxConfiguration<Redis = unknown> {
  readonly limits: SandboxLimits;
  readonly redis: Redis;
}
