import { Cluster, type Redis } from "ioredis";
import { formatAddress } from "../base/address.ts";
import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import { Fault } from "../base/fault.ts";
import { createControlClient } from "./control-client.ts";
import { infoField } from "./info.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";

const RECONNECT: BackoffLimits = { initialMs: 50, maxMs: 1000 };
const COMMAND_TIMEOUT_MS = 2000;

/**
 * The way to gearmesh's own keys, wherever in the cluster they are. Like every client of ours it queues nothing while it is offline and
 * sends nothing twice. It finds out by itself whether there is a cluster, with the first command.
 */
export class StoreClient {
  readonly #endpoint: RedisEndpoint;
  readonly #onError: (error: Error) => void;
  #connecting: Promise<Redis | Cluster> | undefined;
  #closed = false;

  constructor(endpoint: RedisEndpoint, onError: (error: Error) => void) {
    this.#endpoint = endpoint;
    this.#onError = onError;
  }

  /**
   * Connects where that was not done yet, and runs commands; rejects with UNAVAILABLE where it cannot connect, otherwise with what the commands
   * reject with.
   */
  async run<T>(commands: (redis: Redis | Cluster) => Promise<T>): Promise<T> {
    const redis = await this.#connected();
    try {
      return await commands(redis);
    } catch (error) {
      if (!isMoved(error)) throw error;
      // A node that was alone when it was asked has been joined by others.
      this.#connecting = undefined;
      redis.disconnect();
      return commands(await this.#connected());
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#connecting?.catch(() => undefined);
    client?.disconnect();
  }

  async #connected(): Promise<Redis | Cluster> {
    if (this.#closed) throw new Fault("UNAVAILABLE", "the coordinator is shutting down");
    this.#connecting ??= this.#connect();
    try {
      return await this.#connecting;
    } catch (cause) {
      this.#connecting = undefined;
      throw new Fault("UNAVAILABLE", `Redis at ${formatAddress(this.#endpoint)} is not reachable: ${cause}`, { cause });
    }
  }

  async #connect(): Promise<Redis | Cluster> {
    const alone = createControlClient(this.#endpoint, { reconnect: RECONNECT, onError: this.#onError });
    try {
      await alone.connect();
      if (await isAlone(alone)) return alone;
    } catch (error) {
      alone.disconnect();
      throw error;
    }
    alone.disconnect();
    const cluster = this.#createCluster();
    try {
      await cluster.connect();
      return cluster;
    } catch (error) {
      cluster.disconnect();
      throw error;
    }
  }

  #createCluster(): Cluster {
    const { host, port, username, password, tls } = this.#endpoint;
    const cluster = new Cluster([{ host, port }], {
      lazyConnect: true,
      enableOfflineQueue: false,
      clusterRetryStrategy: (attempt) => backoffMs(attempt - 1, RECONNECT),
      // A cluster that lost a shard still serves our keys on the others.
      enableReadyCheck: false,
      maxRedirections: 4,
      slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
      redisOptions: {
        username,
        password,
        ...(tls && { tls: { ca: tls.ca, cert: tls.cert, key: tls.key, servername: tls.serverName } }),
        connectTimeout: COMMAND_TIMEOUT_MS,
        commandTimeout: COMMAND_TIMEOUT_MS,
        autoResendUnfulfilledCommands: false,
        maxRetriesPerRequest: 0,
        disableClientInfo: true,
      },
    });
    cluster.on("error", this.#onError);
    return cluster;
  }
}

/** Without cluster mode; or in a cluster of one, which does not know its own address yet and so cannot be used through it. */
async function isAlone(node: Redis): Promise<boolean> {
  if (infoField(await node.info("cluster"), "cluster_enabled") !== "1") return true;
  return infoField(String(await node.call("CLUSTER", "INFO")), "cluster_known_nodes") === "1";
}

function isMoved(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("MOVED ");
}
