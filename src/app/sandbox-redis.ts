import { Fault } from "../base/fault.ts";
import { CommandGuard } from "../functions/guard.ts";
import { parseCommandTable } from "../redis/command-table.ts";
import type { RedisCredentials, RedisEndpoint } from "../redis/redis-endpoint.ts";
import { RespConnection } from "../redis/resp-connection.ts";
import type { ShardAccess } from "../sandbox/host/shard-access.ts";

/** How the sandbox process reaches its shard; the coordinator sends it as `redis` of the SandboxConfiguration. */
export interface SandboxRedis {
  /** Without credentials, which it asks for with each connection. */
  readonly endpoint: Omit<RedisEndpoint, keyof RedisCredentials>;
  /** What CLIENT LIST shows. */
  readonly connectionName: string;
  /** Commands that the operator allows although they are refused by default. */
  readonly allowedCommands: readonly string[];
}

/** Connects in the background. */
export function openShard(
  { endpoint, connectionName, allowedCommands }: SandboxRedis,
  askForCredentials: () => Promise<unknown>,
): ShardAccess {
  const allowed = new Set(allowedCommands);
  const opened = Promise.withResolvers<void>();
  let guard: CommandGuard | undefined;
  /** Why there is no guard yet. */
  let reason = "it is not connected yet";

  /** With each connection: behind the same address there may be another server than before. */
  const readCommands = async () => {
    try {
      guard = new CommandGuard(parseCommandTable(await redis.command(["COMMAND"])), allowed);
    } catch (error) {
      // The connection was lost meanwhile and comes again, or functions go on without commands.
      reason = error instanceof Error ? error.message : String(error);
    }
    opened.resolve();
  };

  const redis: RespConnection = new RespConnection(endpoint, {
    name: connectionName,
    credentials: async () => {
      const credentials = await askForCredentials();
      if (credentials) return credentials as RedisCredentials;
      throw new Fault("UNAVAILABLE", "the coordinator could not say who functions are to it");
    },
    onState: (state) => {
      if (state.kind === "ready") void readCommands();
      else if (state.kind === "waiting") {
        reason = state.reason;
        opened.resolve();
      }
    },
  });
  redis.connect();
  return {
    redis,
    opened: opened.promise,
    refusal: (args, access) => {
      if (!guard) throw new Fault("UNAVAILABLE", `the commands of this shard's Redis are not known yet: ${reason}`);
      return guard.check(args, access);
    },
  };
}
