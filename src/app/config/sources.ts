import { parseArgs } from "node:util";
import { flagOf, SETTING_ENTRIES, SETTINGS, type SettingKey, variableOf } from "./schema.ts";
import type { Setting } from "./setting.ts";

export type Source = "environment" | "file" | "flag";

/** One value as a source gives it. */
export interface RawValue {
  readonly source: Source;
  /** What to look for in that source: a variable, a key or a flag. */
  readonly name: string;
  readonly value: unknown;
}

export interface RawValues {
  readonly values: ReadonlyMap<SettingKey, RawValue>;
  /** The configuration file that this source names. It is no setting itself, since a file cannot name it. */
  readonly configPath?: string;
  readonly problems: readonly string[];
}

/** What client commands read. It may stand in the environment of a coordinator, too. */
const CLIENT_VARIABLE = "GEARMESH_ADDRESS";

/** Kubernetes describes each Service to every pod in variables named after it, so a Service called gearmesh makes these. */
const SERVICE_LINK =
  /^GEARMESH_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)(?:_.+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_.+)?)?)$/;

export function fromEnvironment(environment: Readonly<Record<string, string | undefined>>): RawValues {
  const keys = new Map(SETTING_ENTRIES.map(([key]) => [variableOf(key), key]));
  const values = new Map<SettingKey, RawValue>();
  const problems: string[] = [];
  let configPath: string | undefined;
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith("GEARMESH_") || value === undefined) continue;
    const key = keys.get(name);
    if (name === "GEARMESH_CONFIG") configPath = value;
    else if (key) values.set(key, { source: "environment", name, value });
    else if (name !== CLIENT_VARIABLE && !SERVICE_LINK.test(name)) problems.push(`unknown variable ${name}`);
  }
  return { values, problems, ...(configPath !== undefined && { configPath }) };
}

export function fromFile(path: string, text: string): RawValues {
  const values = new Map<SettingKey, RawValue>();
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold a secret.
    return { values, problems: [`${path} is not JSON`] };
  }
  if (typeof content !== "object" || content === null || Array.isArray(content))
    return { values, problems: [`${path} is not a JSON object`] };
  const problems: string[] = [];
  for (const [name, value] of Object.entries(content)) {
    if (isSettingKey(name)) values.set(name, { source: "file", name: `${name} in ${path}`, value });
    else problems.push(`unknown key ${JSON.stringify(name)} in ${path}`);
  }
  return { values, problems };
}

export function fromFlags(args: readonly string[]): RawValues {
  const keys = new Map(SETTING_ENTRIES.map(([key]) => [flagOf(key), key]));
  const options = Object.fromEntries([
    ["config", { type: "string" as const }],
    ...SETTING_ENTRIES.map(([key, setting]) => [
      flagOf(key),
      { type: setting.isSwitch ? ("boolean" as const) : ("string" as const) },
    ]),
  ]);
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    allowNegative: true,
    tokens: true,
  });
  const values = new Map<SettingKey, RawValue>();
  const problems: string[] = [];
  let configPath: string | undefined;
  let unknownAt = -2;
  for (const token of tokens) {
    if (token.kind === "positional") {
      // What follows an unknown flag is most likely its value: one problem, not two.
      if (token.index !== unknownAt + 1) problems.push(`unexpected argument ${JSON.stringify(token.value)}`);
      continue;
    }
    if (token.kind !== "option") continue;
    const negated = token.rawName.startsWith("--no-");
    const flag = negated && keys.has(token.name.replace(/^no-/, "")) ? token.name.replace(/^no-/, "") : token.name;
    const key = keys.get(flag);
    const isSwitch = key !== undefined && isSwitchSetting(key);
    const value = token.value ?? (isSwitch ? !negated : undefined);
    if (!key && flag !== "config") {
      problems.push(`unknown flag ${token.rawName}`);
      unknownAt = token.index;
    } else if (negated && !isSwitch) problems.push(`unknown flag ${token.rawName}`);
    else if (value === undefined) problems.push(`${token.rawName} needs a value`);
    else if (key) values.set(key, { source: "flag", name: `--${flag}`, value });
    else configPath = String(value);
  }
  return { values, problems, ...(configPath !== undefined && { configPath }) };
}

function isSettingKey(name: string): name is SettingKey {
  return Object.hasOwn(SETTINGS, name);
}

function isSwitchSetting(key: SettingKey): boolean {
  const setting: Setting<unknown> = SETTINGS[key];
  return setting.isSwitch === true;
}
