import type { Address } from "../../topology/topology.ts";
import { ConfigError } from "./config-error.ts";
import { relationProblems } from "./relations.ts";
import { SETTING_ENTRIES, SETTINGS, type SettingKey, type SettingValues } from "./schema.ts";
import { fromEnvironment, fromFile, fromFlags, type RawValue, type Source } from "./sources.ts";

/** What a coordinator runs with: valid, complete, with the contents of secret files in place. */
export type Settings = Omit<SettingValues, "listen" | "opsListen" | "serverToken"> & {
  readonly listen: Address;
  readonly opsListen: Address;
  /** One, or two while a token is being replaced; the newest first. */
  readonly serverTokens: readonly string[];
};

export interface EffectiveSetting {
  readonly key: SettingKey;
  /** Undefined where it is not set and has no default. */
  readonly value: unknown;
  readonly source: Source | "default";
}

export interface SettingSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Arguments of the command line, without those that are no settings. */
  readonly flags: readonly string[];
  /** Throws where the file cannot be read. */
  readonly readFile: (path: string) => string;
}

export interface ResolvedSettings {
  readonly settings: Settings;
  /** In the order of the documentation. */
  readonly effective: readonly EffectiveSetting[];
}

/** Merges the sources, later ones over earlier ones: environment, file, flags. Throws a ConfigError with every problem. */
export function resolveSettings({ environment, flags, readFile }: SettingSources): ResolvedSettings {
  const problems: string[] = [];
  const read = (path: string, name: string): string | undefined => {
    try {
      return readFile(path);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
      problems.push(`${name}: cannot read ${path} (${code})`);
      return undefined;
    }
  };

  const variables = fromEnvironment(environment);
  const flagged = fromFlags(flags);
  const path = flagged.configPath ?? variables.configPath;
  const text =
    path === undefined ? undefined : read(path, flagged.configPath === undefined ? "GEARMESH_CONFIG" : "--config");
  const filed = path !== undefined && text !== undefined ? fromFile(path, text) : undefined;
  const raw = new Map([...variables.values, ...(filed?.values ?? []), ...flagged.values]);
  problems.push(...variables.problems, ...(filed?.problems ?? []), ...flagged.problems);

  const parsed = parseValues(raw);
  problems.push(...parsed.problems);
  const { serverToken, ...values } = parsed.values;
  const tokenText = values.serverTokenFile === undefined ? undefined : read(values.serverTokenFile, "serverTokenFile");
  const passwordText =
    values.redisPasswordFile === undefined ? undefined : read(values.redisPasswordFile, "redisPasswordFile");
  const tokens = tokenText === undefined ? undefined : SETTINGS.serverToken.schema.safeParse(tokenText);
  if (tokens?.success === false) {
    problems.push(`${values.serverTokenFile} must hold ${SETTINGS.serverToken.accepts}`);
  }
  const settings: Settings = {
    ...values,
    redisPassword: values.redisPassword ?? passwordText?.replace(/\r?\n$/, ""),
    listen: values.listen ?? { host: "127.0.0.1", port: values.redis.port + values.peerPortOffset },
    opsListen: values.opsListen ?? { host: "127.0.0.1", port: values.redis.port + OPS_PORT_OFFSET },
    serverTokens: serverToken ?? tokens?.data ?? [],
  };
  problems.push(...relationProblems(settings, new Set(raw.keys())));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings, effective: effectiveSettings(settings, raw) };
}

const OPS_PORT_OFFSET = 2000;

/** A value that is refused leaves the default in its place, so that the rest can still be checked. */
function parseValues(raw: ReadonlyMap<SettingKey, RawValue>): {
  readonly values: SettingValues;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const entries = SETTING_ENTRIES.map(([key, setting]) => {
    const given = raw.get(key);
    if (!given) return [key, setting.default];
    const result = setting.schema.safeParse(given.value);
    if (result.success) return [key, result.data];
    const unit = setting.unit === undefined ? "" : ` ${setting.unit}`;
    const got = setting.secret ? "" : `, not ${JSON.stringify(given.value)}`;
    problems.push(`${given.name} must be ${setting.accepts}${unit}${got}`);
    return [key, setting.default];
  });
  return { values: Object.fromEntries(entries) as SettingValues, problems };
}

function effectiveSettings(settings: Settings, raw: ReadonlyMap<SettingKey, RawValue>): readonly EffectiveSetting[] {
  const values: Partial<Record<SettingKey, unknown>> = { ...settings };
  return SETTING_ENTRIES.map(([key, { secret }]) => {
    const source = raw.get(key)?.source ?? "default";
    return { key, value: secret ? (source === "default" ? undefined : "(secret)") : values[key], source };
  });
}
