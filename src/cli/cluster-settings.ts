import { readFileSync } from "node:fs";
import { parseAddress } from "../app/config/address.ts";
import { ConfigError } from "../app/config/config-error.ts";
import { flagOf, SETTINGS, type SettingKey, variableOf } from "../app/config/schema.ts";
import type { Setting } from "../app/config/setting.ts";
import { type ResolvedSettings, resolveSettings, type Settings } from "../app/config/settings.ts";
import { variablesOf } from "../app/config/settings-variables.ts";
import { type Address, formatAddress } from "../base/address.ts";
import { readSettings } from "./settings-command.ts";

/** Settings that each instance must have for itself, and who gives them to it. */
const OF_ONE_INSTANCE = {
  listen: "it follows from its Redis, and --host names another address",
  opsListen: "it follows from its Redis, and --ops-host names another address",
  redisSocket: "instances reach their Redis by TCP",
  identity: "it is the id of its Redis node",
  nodeNumber: "the supervisor gives it",
} as const satisfies Partial<Record<SettingKey, string>>;

export interface ClusterOptions {
  readonly redis?: string;
  readonly host?: string;
  readonly opsHost?: string;
}

/** What `gearmesh cluster start` was told: the settings of all instances, and how those of one follow from them. */
export class ClusterSettings {
  readonly settings: Settings;
  /** The Redis nodes that were named, if more than one was: no others are looked for. */
  readonly redises: readonly Address[] | undefined;
  readonly #variables: Readonly<Record<string, string>>;
  readonly #options: ClusterOptions;
  /** By their Redis nodes. */
  readonly #ofInstances = new Map<string, Settings>();

  /** Throws a ConfigError with every problem. */
  constructor(flags: readonly string[], options: ClusterOptions) {
    const problems: string[] = [];
    const named = readRedises(options.redis, problems);
    const [first, ...others] = named;
    const redisFlags = first ? [`--${flagOf("redis")}`, formatAddress(first)] : [];
    const resolved = readAll([...flags, ...redisFlags], problems);
    problems.push(...(resolved ? unfit(resolved) : []));
    if (!resolved || problems.length > 0) throw new ConfigError(problems);
    this.settings = resolved.settings;
    this.redises = others.length > 0 ? named : undefined;
    this.#variables = variablesOf(resolved);
    this.#options = options;
    this.ofInstance(this.settings.redis);
  }

  /** Throws a ConfigError. */
  ofInstance(redis: Address): Settings {
    const key = formatAddress(redis);
    const known = this.#ofInstances.get(key);
    if (known) return known;
    const { settings } = resolveSettings({
      environment: this.variablesOf(redis),
      flags: [],
      readFile: (path) => readFileSync(path, "utf8"),
    });
    this.#ofInstances.set(key, settings);
    return settings;
  }

  /** The environment variables of the instance beside this Redis. */
  variablesOf(redis: Address): Readonly<Record<string, string>> {
    const { host, opsHost } = this.#options;
    const { listen, opsListen, redis: given } = this.settings;
    const at = (name: string | undefined, { port }: Address) =>
      name === undefined ? undefined : formatAddress({ host: name, port: port - given.port + redis.port });
    const own = {
      [variableOf("redis")]: formatAddress(redis),
      [variableOf("listen")]: at(host, listen),
      [variableOf("opsListen")]: at(opsHost, opsListen),
    };
    const set = Object.entries(own).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
    return { ...this.#variables, ...Object.fromEntries(set) };
  }
}

function readRedises(text: string | undefined, problems: string[]): readonly Address[] {
  const named = [...new Set((text ?? "").split(",").map((one) => one.trim()))].filter((one) => one !== "");
  if (text !== undefined && named.length === 0) problems.push("--redis names no Redis");
  return named.flatMap((one) => {
    const address = parseAddress(one);
    if (!address)
      problems.push(`--redis must be ${SETTINGS.redis.accepts}, or several with commas, not ${JSON.stringify(one)}`);
    return address ? [address] : [];
  });
}

function readAll(flags: readonly string[], problems: string[]): ResolvedSettings | undefined {
  try {
    return readSettings(flags);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
    return undefined;
  }
}

/** What is right for one coordinator, and wrong for several. */
function unfit({ effective }: ResolvedSettings): readonly string[] {
  return effective.flatMap(({ key, source }) => {
    const { secret }: Setting<unknown> = SETTINGS[key];
    const why: string | undefined = { ...OF_ONE_INSTANCE }[key as keyof typeof OF_ONE_INSTANCE];
    if (source !== "default" && why !== undefined) return [`${key} is set, but each instance has its own: ${why}`];
    if (source !== "flag" || !secret) return [];
    return [
      `--${flagOf(key)} would show a secret to everyone on this machine: put it into ${variableOf(key)}, or into a file`,
    ];
  });
}
