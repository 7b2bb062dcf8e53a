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

  /** Connects where that was not done yet; rejects with UNAVAILABLE where it cannot. */
  async commands(): Promise<Redis | Cluster> {
    if (this.#closed) throw new Fault("UNAVAILABLE", "the coordinator is shutting down");
    this.#connecting ??= this.#connect();
    try {
      return await this.#connecting;
    } catch (cause) {
      this.#connecting = undefined;
      throw new Fault("UNAVAILABLE", `Redis at ${formatAddress(this.#endpoint)} is not reachable: ${cause}`, { cause });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#connecting?.catch(() => undefined);
    client?.disconnect();
  }

  async #connect(): Promise<Redis | Cluster> {
    const alone = createControlClient(this.#endpoint, { reconnect: RECONNECT, onError: this.#onError });
    try {
      await alone.connect();
      if (infoField(await alone.info("cluster"), "cluster_enabled") !== "1") return alone;
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
