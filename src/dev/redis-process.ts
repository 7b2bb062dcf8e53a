import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";

import { Fault } from "../base/fault.ts";
import { Daemon } from "./daemon.ts";
import { askRedis } from "./inline-command.ts";
import type { Reaper } from "./reaper.ts";

const LOOPBACK = "127.0.0.1";

const SERVERS = ["redis-server", "valkey-server"];

/** Where a Redis is to be reached, for tests that cut it off. */
export interface RedisNetwork {
  readonly host: string;
  /** Runs a command there, where that is not our own network: comes before the command. */
  readonly launcher?: readonly string[];
}

export interface RedisProcessOptions {
  /** Path of the server, from `findRedisServer`. */
  readonly command: string;
  readonly port: number;
  /** Made where it is missing; holds the data, the node's cluster file and the log. */
  readonly directory: string;
  readonly reaper: Reaper;
  /** Default: loopback. */
  readonly network?: RedisNetwork | undefined;
  /** Further lines of its configuration. */
  readonly config?: Readonly<Record<string, string>> | undefined;
  /** Default: cluster. The cluster bus listens on `port` + 10000. */
  readonly mode?: "cluster" | "standalone" | undefined;
  /** After this long without an answer a node counts as failing. Unit: ms. Default: 2000, for failovers that tests can wait for. */
  readonly clusterNodeTimeoutMs?: number | undefined;
}

/** A Redis that keeps nothing on disk but its place in the cluster. Restarted, it is the same node, without data. */
export class RedisProcess extends Daemon {
  readonly host: string;
  readonly port: number;
  /** Where its place in the cluster and its log are. */
  readonly directory: string;
  /** Its Unix socket. */
  readonly socketPath: string;

  constructor(options: RedisProcessOptions) {
    const { command, port, directory, reaper, mode = "cluster", clusterNodeTimeoutMs = 2_000 } = options;
    const { host, launcher = [] } = options.network ?? { host: LOOPBACK };
    const [program = command, ...programArgs] = [...launcher, command];
    const socketPath = join(directory, "redis.sock");
    const settings = {
      port,
      bind: host,
      // It guards a Redis without a password against all but loopback.
      "protected-mode": host === LOOPBACK ? "yes" : "no",
      unixsocket: socketPath,
      dir: directory,
      save: "",
      appendonly: "no",
      ...(mode === "cluster" && {
        "cluster-enabled": "yes",
        "cluster-node-timeout": clusterNodeTimeoutMs,
        "cluster-require-full-coverage": "no",
      }),
      ...options.config,
    };
    super(
      {
        name: `redis-server on port ${port}`,
        command: program,
        args: [...programArgs, ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])],
        env: process.env,
        directory,
        logName: "redis.log",
        isReady: async () => (await askRedis({ host, port }, "PING")) === "+PONG",
        readyWithinMs: 30_000,
        stopWithinMs: 5_000,
      },
      reaper,
    );
    this.host = host;
    this.port = port;
    this.directory = directory;
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
