import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { Fault } from "../base/fault.ts";
import { Daemon } from "./daemon.ts";
import { askRedis } from "./inline-command.ts";
import type { Reaper } from "./reaper.ts";

const SERVERS = ["redis-server", "valkey-server"];

export interface RedisProcessOptions {
  /** Path of the server, from `findRedisServer`. */
  readonly command: string;
  readonly port: number;
  /** Made where it is missing; holds the data, the node's cluster file and the log. */
  readonly directory: string;
  readonly reaper: Reaper;
  /** Default: cluster. The cluster bus listens on `port` + 10000. */
  readonly mode?: "cluster" | "standalone" | undefined;
  /** After this long without an answer a node counts as failing. Unit: ms. Default: 2000, for failovers that tests can wait for. */
  readonly clusterNodeTimeoutMs?: number | undefined;
}

/** A Redis on loopback that keeps nothing on disk but its place in the cluster. Restarted, it is the same node, without data. */
export class RedisProcess extends Daemon {
  readonly host = "127.0.0.1";
  readonly port: number;
  /** Its Unix socket. */
  readonly socketPath: string;

  constructor(options: RedisProcessOptions) {
    const { command, port, directory, reaper, mode = "cluster", clusterNodeTimeoutMs = 2_000 } = options;
    const socketPath = join(directory, "redis.sock");
    const settings = {
      port,
      bind: "127.0.0.1",
      unixsocket: socketPath,
      dir: directory,
      save: "",
      appendonly: "no",
      ...(mode === "cluster" && {
        "cluster-enabled": "yes",
        "cluster-node-timeout": clusterNodeTimeoutMs,
        "cluster-require-full-coverage": "no",
      }),
    };
    super(
      {
        name: `redis-server on port ${port}`,
        command,
        args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
        env: process.env,
        directory,
        logName: "redis.log",
        isReady: async () => (await askRedis(port, "PING")) === "+PONG",
        readyWithinMs: 10_000,
        stopWithinMs: 5_000,
      },
      reaper,
    );
    this.port = port;
    this.socketPath = socketPath;
  }
}

/** Path of the Redis or Valkey server that is installed. Rejects with UNAVAILABLE where none is. */
export async function findRedisServer(): Promise<string> {
  for (const directory of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const server of SERVERS) {
      const path = join(directory, server);
      const found = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return path;
    }
  }
  throw new Fault("UNAVAILABLE", `neither ${SERVERS.join(" nor ")} is on the PATH; install the one or the other`);
}
