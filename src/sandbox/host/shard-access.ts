import type { ShardRedis } from "../../functions/shard-redis.ts";

/** How the blocks of a sandbox process reach their shard. */
export interface ShardAccess {
  readonly redis: ShardRedis;
  /**
   * Why a command may not be called, or undefined where it may.
   * Throws UNAVAILABLE as long as the server's command table could not be read.
   */
  refusal(args: readonly (string | Uint8Array)[], access: { readonly readOnly: boolean }): string | undefined;
  /** Resolves once the first attempt to reach Redis has succeeded or failed. */
  readonly opened: Promise<void>;
}
