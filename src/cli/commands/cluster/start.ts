import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { ConfigError } from "../../../app/config/config-error.ts";
import { Fault } from "../../../base/fault.ts";
import { modulePath } from "../../../dev/module-path.ts";
import { surroundings } from "../../../dev/surroundings.ts";
import { askSupervisor } from "../../../supervisor/control-socket.ts";
import { findLocalRedises } from "../../../supervisor/local-redises.ts";
import { Supervision } from "../../../supervisor/supervision.ts";
import { createLogger, type Logger } from "../../../telemetry/logger.ts";
import { type DirectoryOptions, directoryOption } from "../../cluster-directory.ts";
import { type ClusterOptions, ClusterSettings } from "../../cluster-settings.ts";
import { settingsCommand } from "../../settings-command.ts";

const MAIN = modulePath("../../main", import.meta.url);
/** Longest that an instance may take to be ready again before a roll gives up. Unit: ms. */
const READY_WITHIN_MS = 60_000;
/** Beyond the times that a coordinator drains for, once for its clients and once for its peers. Unit: ms. */
const STOP_MARGIN_MS = 5000;
const POLL_MS = 50;
const LOG_TAIL_LINES = 15;

interface Options extends ClusterOptions, DirectoryOptions {
  readonly daemon?: boolean;
}

export function configure(command: Command): Command {
  directoryOption(command)
    .description(
      "Starts a coordinator beside each Redis node of this machine and replaces those that die, until SIGTERM or SIGINT. A second one kills them.",
    )
    .option(
      "--redis <host:port,...>",
      "the Redis nodes; with one alone, those of its cluster that run on this machine (default: the setting redis)",
    )
    .option("--host <host>", "where the instances listen (default: 127.0.0.1)")
    .option("--ops-host <host>", "where they serve metrics and health (default: 127.0.0.1)")
    .option("--daemon", "go on in the background")
    .action(run);
  return settingsCommand(
    command,
    "GEARMESH_SERVER_TOKEN_FILE=/etc/gearmesh/token gearmesh cluster start --redis 127.0.0.1:7001,127.0.0.1:7002",
  );
}

async function run({ directory, daemon, ...options }: Options, { args }: Command): Promise<void> {
  let cluster = new ClusterSettings(args, options);
  const { settings } = cluster;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  if (daemon) return startDaemon(directory);
  const secrets = [...settings.serverTokens, settings.redisPassword ?? "", settings.functionRedisPassword ?? ""];
  const logger = createLogger({
    level: settings.logLevel,
    format: settings.logFormat,
    nodeName: () => `${settings.namespace}-supervisor`,
    secrets: () => secrets,
  });
  const supervision = new Supervision({
    directory,
    limits: {
      prefix: settings.namespace,
      stopWithinMs: 2 * settings.drainTimeoutMs + STOP_MARGIN_MS,
      readyWithinMs: READY_WITHIN_MS,
    },
    logger,
    async findRedises() {
      const { redis, redisUsername, redisPassword } = cluster.settings;
      const username = redisUsername === undefined ? {} : { username: redisUsername };
      const password = redisPassword === undefined ? {} : { password: redisPassword };
      return cluster.redises ?? findLocalRedises({ ...redis, ...username, ...password });
    },
    doorsOf: (redis) => cluster.ofInstance(redis),
    launch: (redis, number) => ({
      command: process.execPath,
      args: [MAIN, "serve"],
      env: { ...surroundings(), ...cluster.variablesOf(redis), GEARMESH_NODE_NUMBER: String(number) },
    }),
    reload() {
      cluster = readAnew(args, options, cluster, logger);
    },
  });
  await supervision.run();
}

/** The files that hold settings may have changed. Where they cannot be used, the settings stay as they were: the instances must come back. */
function readAnew(
  args: readonly string[],
  options: ClusterOptions,
  current: ClusterSettings,
  logger: Logger,
): ClusterSettings {
  try {
    const read = new ClusterSettings(args, options);
    if (read.settings.namespace === current.settings.namespace) return read;
    logger.error({}, "the namespace cannot change while the instances run: the settings stay as they were");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    logger.error({}, `the settings stay as they were: ${error.message}`);
  }
  return current;
}

/** Rejects with UNAVAILABLE and the end of its log where the supervisor does not stay. */
async function startDaemon(directory: string): Promise<void> {
  const logPath = join(directory, "supervisor.log");
  const log = openSync(logPath, "a", 0o600);
  const args = process.argv.slice(2).filter((arg) => arg !== "--daemon");
  const child = spawn(process.execPath, [MAIN, ...args], { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  await once(child, "spawn");
  while (child.exitCode === null && child.signalCode === null) {
    if ((await askSupervisor(directory))?.pid === child.pid) {
      child.unref();
      console.log(`the supervisor runs as process ${child.pid}; pid files and logs are in ${directory}`);
      return;
    }
    await delay(POLL_MS);
  }
  const tail = readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  throw new Fault("UNAVAILABLE", [`the supervisor did not stay. The end of ${logPath}:`, ...tail].join("\n  "));
}
