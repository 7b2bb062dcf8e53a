import { Redis } from "ioredis";
import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

export interface ControlClientOptions {
  /** What CLIENT LIST shows; without spaces. */
  readonly name?: string;
  /** Unit: ms. */
  readonly connectTimeoutMs?: number;
  /** A command without a reply for this long fails; it may have run. Unit: ms. */
  readonly commandTimeoutMs?: number;
  /** Absent: a connection that is lost stays lost. */
  readonly reconnect?: BackoffLimits;
  /** Why a connection failed or was lost; without a listener ioredis would print it. */
  readonly onError: (error: Error) => void;
}

/**
 * A client for commands of ours, not of functions. It queues nothing while it is offline and sends nothing twice, so what it rejects
 * with tells whether the command ran. `connect()` starts it.
 */
export function createControlClient(endpoint: RedisEndpoint, options: ControlClientOptions): Redis {
  const { host, port, socketPath, username, password } = endpoint;
  const { name, connectTimeoutMs = 2000, commandTimeoutMs = 2000, reconnect, onError } = options;
  const client = new Redis({
    ...(socketPath === undefined ? { host, port } : { path: socketPath }),
    username,
    password,
    connectionName: name,
    connectTimeout: connectTimeoutMs,
    commandTimeout: commandTimeoutMs,
    protocol: 2,
    lazyConnect: true,
    disableClientInfo: true,
    enableOfflineQueue: false,
    // A Redis that is still loading its data answers errors; that is more than no connection at all.
    enableReadyCheck: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: reconnect ? (attempt) => backoffMs(attempt - 1, reconnect) : null,
  });
  client.on("error", onError);
  return client;
}
