import type { Address } from "../../base/address.ts";
import type { TlsIdentity } from "../../grpc/tls-identity.ts";
import type { ScopedToken } from "../../grpc/token-check.ts";
import { ConfigError } from "./config-error.ts";
import { relationProblems } from "./relations.ts";
import { SETTING_ENTRIES, type SettingKey, type SettingValues } from "./schema.ts";
import { type SecretFiles, scopedTokenFiles, serverTokenFiles, tlsFiles } from "./secrets.ts";
import { fromEnvironment, fromFile, fromFlags, type RawValue, type Source } from "./sources.ts";

/** What a coordinator runs with: valid, complete, with the contents of secret files in place. */
export type Settings = Omit<SettingValues, "listen" | "opsListen" | "serverToken"> & {
  readonly listen: Address;
  readonly opsListen: Address;
  /** One, or two while a token is being replaced; the newest first. */
  readonly serverTokens: readonly string[];
  readonly scopedTokens: readonly ScopedToken[];
  /** Undefined: there is no TLS. */
  readonly tls: TlsIdentity | undefined;
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
export function resolveSettings(sources: SettingSources): ResolvedSettings {
  const problems: string[] = [];
  const read = (path: string, named: string): string | undefined => {
    try {
      return sources.readFile(path);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
      problems.push(`${named}: cannot read ${path} (${code})`);
      return undefined;
    }
  };
  const raw = mergeSources(sources, read, problems);
  const settings = completeSettings(parseValues(raw, problems), read, problems);
  problems.push(...relationProblems(settings, new Set(raw.keys())));
  if (problems.length > 0) throw new ConfigError(problems);
  return { settings, effective: effectiveSettings(settings, raw) };
}

/** Reads a file that a setting or variable names; undefined, and a problem noted, where that fails. */
type Read = (path: string, named: string) => string | undefined;

function mergeSources(
  { environment, flags }: SettingSources,
  read: Read,
  problems: string[],
): ReadonlyMap<SettingKey, RawValue> {
  const variables = fromEnvironment(environment);
  const flagged = fromFlags(flags);
  const path = flagged.configPath ?? variables.configPath;
  const named = flagged.configPath === undefined ? "GEARMESH_CONFIG" : "--config";
  const text = path === undefined ? undefined : read(path, named);
  const filed = path === undefined || text === undefined ? undefined : fromFile(path, text);
  problems.push(...variables.problems, ...(filed?.problems ?? []), ...flagged.problems);
  return new Map([...variables.values, ...(filed?.values ?? []), ...flagged.values]);
}

/** Puts in what follows from other settings: the contents of secret files, and addresses. */
function completeSettings({ serverToken, ...values }: SettingValues, read: Read, problems: string[]): Settings {
  const { redis, redisPasswordFile, functionRedisPasswordFile } = values;
  const passwordIn = (path: string | undefined, named: SettingKey): string | undefined =>
    path === undefined ? undefined : read(path, named)?.replace(/\r?\n$/, "");
  const secretIn = <T>(files: SecretFiles<T> | undefined, named: SettingKey): T | undefined => {
    const texts = files?.paths.map((path) => read(path, named));
    if (!files || !texts?.every((text) => text !== undefined)) return undefined;
    try {
      return files.parse(texts);
    } catch (error) {
      problems.push(`${files.paths.join(", ")}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };
  const tokensInFile = secretIn(serverTokenFiles(values), "serverTokenFile");
  return {
    ...values,
    redisPassword: values.redisPassword ?? passwordIn(redisPasswordFile, "redisPasswordFile"),
    functionRedisPassword:
      values.functionRedisPassword ?? passwordIn(functionRedisPasswordFile, "functionRedisPasswordFile"),
    listen: values.listen ?? { host: "127.0.0.1", port: redis.port + values.peerPortOffset },
    opsListen: values.opsListen ?? { host: "127.0.0.1", port: redis.port + OPS_PORT_OFFSET },
    serverTokens: serverToken ?? tokensInFile ?? [],
    scopedTokens: secretIn(scopedTokenFiles(values), "tokensFile") ?? [],
    tls: secretIn(tlsFiles(values), "tlsCertFile"),
  };
}

const OPS_PORT_OFFSET = 2000;

/** A value that is refused leaves the default in its place, so that the rest can still be checked. */
function parseValues(raw: ReadonlyMap<SettingKey, RawValue>, problems: string[]): SettingValues {
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
  return Object.fromEntries(entries) as SettingValues;
}

function effectiveSettings(settings: Settings, raw: ReadonlyMap<SettingKey, RawValue>): readonly EffectiveSetting[] {
  const values: Partial<Record<SettingKey, unknown>> = { ...settings };
  return SETTING_ENTRIES.map(([key, { secret }]) => {
    const source = raw.get(key)?.source ?? "default";
    return { key, value: secret ? (source === "default" ? undefined : "(secret)") : values[key], source };
  });
}
