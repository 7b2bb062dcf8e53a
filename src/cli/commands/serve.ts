import type { Command } from "commander";
import { readSettings, settingsCommand } from "../settings-command.ts";
import { stopRequested } from "../stop-requested.ts";

export function configure(command: Command): Command {
  return settingsCommand(
    command
      .description("Runs a coordinator beside a Redis node until SIGTERM or SIGINT; a second one ends it at once.")
      .action(run),
    "GEARMESH_SERVER_TOKEN_FILE=/etc/gearmesh/token gearmesh serve --redis 127.0.0.1:6379",
  );
}

async function run(_options: object, { args }: Command): Promise<void> {
  const { settings } = readSettings(args);
  const stop = stopRequested();
  const { Coordinator } = await import("../../app/coordinator.ts");
  const coordinator = new Coordinator(settings);
  try {
    await coordinator.start();
    await stop;
  } finally {
    await coordinator.close();
  }
}
