import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { flagOf, SETTING_ENTRIES } from "../app/config/schema.ts";
import { type ResolvedSettings, resolveSettings } from "../app/config/settings.ts";

/** A command whose flags are the settings: their schema reads them, so that all problems are told at once. */
export function settingsCommand(command: Command, example: string): Command {
  return command
    .usage("[--<setting> <value> ...]")
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText("after", () => `\n${settingsHelp()}\n\nExample:\n  ${example}`);
}

/** Throws a ConfigError. */
export function readSettings(flags: readonly string[]): ResolvedSettings {
  return resolveSettings({ environment: process.env, flags, readFile: (path) => readFileSync(path, "utf8") });
}

function settingsHelp(): string {
  const lines = SETTING_ENTRIES.map(([key, { doc }]) => `  --${flagOf(key).padEnd(30)} ${doc}`);
  return [
    "Settings, each also a GEARMESH_ variable and a key of the file that --config names (docs/SETTINGS.md has their ranges and defaults):",
    ...lines,
  ].join("\n");
}
