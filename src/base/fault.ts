/**
 * Every way a call can fail, and when the caller may try it again. A code is wire format (it travels in
 * the `gearmesh-code` trailer and in every Fault message): add one, never rename one.
 */
export const FAULTS = {
  /** The request itself is wrong; the text says what and how to mend it. */
  INVALID_ARGUMENT: { retry: "never" },
  /** No token, a wrong one, or a peer that could not prove that it knows it. */
  UNAUTHENTICATED: { retry: "never" },
  /** The token is valid, and not for this. */
  PERMISSION_DENIED: { retry: "never" },
  UNKNOWN_LIBRARY: { retry: "never" },
  UNKNOWN_FUNCTION: { retry: "never" },
  /** The library has never been replaced, so there is nothing to roll back to. */
  NO_PREVIOUS_REVISION: { retry: "never" },
  LIBRARY_EXISTS: { retry: "never" },
  /** The library's text does not load: its header, its syntax, its top level or what it registers. */
  LIBRARY_REFUSED: { retry: "never" },
  /** The function ran and threw; the text is what it threw. */
  FUNCTION_FAILED: { retry: "never" },
  /** The function ran longer without a pause than one run may, and was ended. */
  FUNCTION_TIMEOUT: { retry: "never" },
  /** No node of the target knows a method of this name. */
  UNKNOWN_METHOD: { retry: "never" },
  /** The same client has registered the method already, or it is built in. */
  METHOD_EXISTS: { retry: "never" },
  /** The method ran and failed; the text is what it failed with. */
  METHOD_FAILED: { retry: "never" },
  /** No node goes by this name. */
  UNKNOWN_NODE: { retry: "never" },
  /** No such connection is open, or its grace time is over. */
  UNKNOWN_CONNECTION: { retry: "never" },
  UNKNOWN_ROOM: { retry: "never" },
  ROOM_EXISTS: { retry: "never" },
  ALREADY_IN_ROOM: { retry: "never" },
  NOT_IN_ROOM: { retry: "never" },
  /** A hook of the room, or a middleware of the task, did not allow it; the text is its own. */
  REFUSED_BY_HOOK: { retry: "never" },
  /** There is no such lease in the storage, or it is over. */
  UNKNOWN_LEASE: { retry: "never" },
  /** There is no object of this key in the cache, or it has expired. */
  OBJECT_NOT_FOUND: { retry: "never" },
  /** Another holder has locked the key. */
  OBJECT_LOCKED: { retry: "backoff" },
  /** The lock whose fencing token was given has expired, or was given back. */
  LOCK_LOST: { retry: "never" },
  /** The key has a list where an object is wanted, or the other way round. */
  WRONG_KIND: { retry: "never" },
  /** No task of this name is registered, or none has this id. */
  UNKNOWN_TASK: { retry: "never" },
  /** No queue of this name is configured, and no task names it. */
  UNKNOWN_QUEUE: { retry: "never" },
  /** "Job already enqueued at this time with same arguments", or one with the same deduplication id is. */
  DUPLICATE_TASK: { retry: "never" },
  /** The task's last attempt failed; the text is what it failed with. */
  TASK_FAILED: { retry: "never" },
  /** The worker does not hold the task, or no longer: somebody else may be at work on it. */
  TASK_NOT_HELD: { retry: "never" },
  DEADLINE_EXCEEDED: { retry: "never" },
  CANCELLED: { retry: "never" },
  /** This shard does not own the key, or its slot is on the move; the text says as Redis does where to call again (MOVED, ASK), or to do so later (TRYAGAIN). */
  MOVED: { retry: "after-refresh" },
  /** The keys of one call lie in more than one slot. */
  CROSSSLOT: { retry: "never" },
  /** Nothing was done: no link, no Redis, no owner, or the coordinator is not ready. */
  UNAVAILABLE: { retry: "backoff" },
  /** It was sent and never answered, so it may or may not have run. */
  INDETERMINATE: { retry: "reads-only" },
  /** A bound on count or bytes is reached, Redis' memory among them. */
  RESOURCE_EXHAUSTED: { retry: "backoff" },
  /** This coordinator does not know the method, most likely because it is older than its caller. */
  UNIMPLEMENTED: { retry: "never" },
  /** A bug in gearmesh. The cause is in the log and is never sent. */
  INTERNAL: { retry: "never" },
} as const satisfies Record<string, { retry: "never" | "after-refresh" | "reads-only" | "backoff" }>;

export type FaultCode = keyof typeof FAULTS;

export function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(FAULTS, code);
}

/** The one error class that callers see. `cause` is for the log and never leaves the process. */
export class Fault extends Error {
  override readonly name = "Fault";
  readonly code: FaultCode;

  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whatever was thrown, as a Fault: a bug becomes an opaque INTERNAL with the error as its cause. */
  static from(thrown: unknown): Fault {
    return thrown instanceof Fault ? thrown : new Fault("INTERNAL", "internal error", { cause: thrown });
  }
}
