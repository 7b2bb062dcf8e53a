/**
 * The Redis of this shard, as blocks use it: one connection of its own, strictly in order, each command sent once. Nothing is
 * queued while it is down and nothing is sent twice.
 */
export interface ShardRedis {
  /**
   * Sends one command and waits for its reply, for `waitMs` at most, without returning to the event loop: a block is synchronous. Returns
   * the reply, error replies included; throws UNAVAILABLE where it was not sent, and INDETERMINATE where no reply came.
   *
   * Before it waits, it calls `meanwhile` for as long as that says there was something to do. What does so may send commands of its own in the
   * same way: they all leave together.
   */
  commandNow(args: readonly (string | Uint8Array)[], waitMs: number, options?: CommandOptions): RedisReply;
}

export interface CommandOptions {
  /** Tells Redis to answer for a slot that is only on its way there, for this command. Default: false. */
  readonly asking?: boolean;
  /** What there is to do while the command waits; false: nothing any more. */
  readonly meanwhile?: (() => boolean) | undefined;
}

/**
 * A reply with every type of RESP3 told apart: integers and big numbers are bigints, doubles are numbers, bulk,
 * status and verbatim strings are bytes.
 */
export type RedisReply =
  | null
  | boolean
  | bigint
  | number
  | Buffer
  | readonly RedisReply[]
  | ReadonlySet<RedisReply>
  | ReadonlyMap<RedisReply, RedisReply>
  | RedisErrorReply;

/** An error reply, for example `WRONGTYPE Operation against a key ...` or `MOVED 3999 127.0.0.1:6381`. */
export class RedisErrorReply {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}
