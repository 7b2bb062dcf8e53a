import { type SettingKey, variableOf } from "./schema.ts";
import type { ResolvedSettings } from "./settings.ts";
import { shown } from "./settings-markdown.ts";

/** The environment variables by which another process gets the same settings, secrets among them. What has its default is left out. */
export function variablesOf({ settings, effective }: ResolvedSettings): Readonly<Record<string, string>> {
  const values: Partial<Record<SettingKey, unknown>> = { ...settings, serverToken: settings.serverTokens };
  const given = effective.filter(({ source }) => source !== "default");
  return Object.fromEntries(given.map(({ key }) => [variableOf(key), shown(values[key])]));
}
