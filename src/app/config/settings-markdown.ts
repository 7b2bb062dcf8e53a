import { formatAddress } from "../../base/address.ts";
import { flagOf, SETTING_ENTRIES, variableOf } from "./schema.ts";

const INTRODUCTION = `# Settings

A coordinator reads its settings from environment variables, a file and flags; a flag wins over the file, the file over a variable.
The file is a JSON object with the keys below; \`GEARMESH_CONFIG\` or \`--config\` says where it is. Lists are separated by commas in
variables and flags, and may be arrays in the file.

A setting that does not exist, a value out of range and settings that do not fit together are refused at the start, all at once, with
exit code 78. \`gearmesh config\` prints the settings in effect and where each came from; secrets are never printed.

This file is generated from the schema: \`node scripts/generate-docs.ts\`.
`;

/** docs/SETTINGS.md. */
export function settingsMarkdown(): string {
  const sections = SETTING_ENTRIES.map(([key, setting]) => {
    const facts = [
      `- Must be: ${setting.accepts}`,
      ...(setting.unit === undefined ? [] : [`- Unit: ${setting.unit}`]),
      `- Default: ${setting.defaultDoc ?? (setting.default === undefined ? "none" : `\`${shown(setting.default)}\``)}`,
      `- Variable: \`${variableOf(key)}\``,
      `- Flag: \`--${flagOf(key)}\``,
    ];
    return `## ${key}\n\n${setting.doc}\n\n${facts.join("\n")}\n`;
  });
  return [INTRODUCTION, ...sections].join("\n");
}

/** A setting's value as one would write it. */
export function shown(value: unknown): string {
  if (value === undefined) return "";
  if (value instanceof Map) return [...value].map(([from, to]) => `${from}=${formatAddress(to)}`).join(",");
  if (typeof value === "object" && value !== null && "host" in value && "port" in value) {
    return formatAddress({ host: String(value.host), port: Number(value.port) });
  }
  return Array.isArray(value) ? value.join(",") : String(value);
}
