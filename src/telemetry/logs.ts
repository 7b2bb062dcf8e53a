import { createLogger, type Logger, type LoggerOptions } from "./logger.ts";

/** What lines come from: each capability that writes some, the doors, and the coordinator around them. */
export const LOG_CAPABILITIES = [
  "coordinator",
  "topology",
  "redis",
  "mesh",
  "grpc",
  "functions",
  "sandbox",
  "rpc",
  "rooms",
  "storage",
  "tasks",
] as const;
export type LogCapability = (typeof LOG_CAPABILITIES)[number];

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type LogLevels = Readonly<Record<LogCapability, LogLevel>>;

export interface LogsOptions extends LoggerOptions {
  /** Of those that differ from `level`. */
  readonly levels: Readonly<Partial<Record<LogCapability, LogLevel>>>;
}

/** The coordinator's log: a logger for each capability, whose level can be changed while it runs. */
export class Logs {
  readonly #loggers: ReadonlyMap<LogCapability, ReturnType<ReturnType<typeof createLogger>["child"]>>;

  constructor({ levels, ...options }: LogsOptions) {
    const root = createLogger(options);
    const loggerOf = (capability: LogCapability) =>
      root.child({ capability }, { level: levels[capability] ?? options.level });
    this.#loggers = new Map(LOG_CAPABILITIES.map((capability) => [capability, loggerOf(capability)]));
  }

  of(capability: LogCapability): Logger {
    return this.#loggerOf(capability);
  }

  get levels(): LogLevels {
    const levels = [...this.#loggers].map(([capability, { level }]) => [capability, level]);
    return Object.fromEntries(levels) as LogLevels;
  }

  /** Holds until the coordinator stops. */
  setLevel(capability: LogCapability, level: LogLevel): void {
    this.#loggerOf(capability).level = level;
  }

  #loggerOf(capability: LogCapability) {
    const logger = this.#loggers.get(capability);
    if (!logger) throw new Error(`no logger for ${capability}`);
    return logger;
  }
}
