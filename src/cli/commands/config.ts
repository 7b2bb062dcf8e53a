import type { Command } from "commander";
import { shown } from "../../app/config/settings-markdown.ts";
import { printJson, printTable } from "../print.ts";
import { readSettings, settingsCommand } from "../settings-command.ts";

export function configure(command: Command): Command {
  return settingsCommand(
    command
      .description("Shows the settings that `serve` would run with, and where each comes from. Secrets are not shown.")
      .option("--json", "print JSON, errors too")
      .action(run),
    "gearmesh config --redis 127.0.0.1:7001",
  );
}

function run({ json }: { readonly json?: boolean }, { args }: Command): void {
  const { effective } = readSettings(args);
  const rows = effective.map(({ key, value, source }) => ({ key, value: shown(value), source }));
  if (json) printJson(rows);
  else
    printTable(
      ["SETTING", "VALUE", "SOURCE"],
      rows.map(({ key, value, source }) => [key, value, source]),
    );
}
