import type { Command } from "commander";
import { readSettings, settingsCommand } from "../settings-command.ts";
import { stopRequested } from "../stop-requested.ts";

/** How long the process may go on once its coordinator has stopped. Unit: ms. */
const LINGER_MS = 1000;

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
    // Everything is settled by now. An attempt to connect that was under way, to a Redis that stops at the same time for example, must not hold the process until it is killed.
    setTimeout(() => process.exit(), LINGER_MS).unref();
  }
}
