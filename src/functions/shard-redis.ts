/**
 * The Redis of this shard, as blocks use it: one connection of its own, strictly in order, each command sent once. Nothing is
 * queued while it is down and nothing is sent twice.
 */
export interface ShardRedis {
  /**
   * Sends one command. Resolves with the reply, error replies included; rejects with UNAVAILABLE where it was not sent, and with
   * INDETERMINATE where the connection was lost before the reply.
   */
  command(args: readonly (string | Uint8Array)[]): Promise<RedisReply>;
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
