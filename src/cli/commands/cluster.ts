import type { Command } from "commander";
import * as restart from "./cluster/restart.ts";
import * as start from "./cluster/start.ts";
import * as status from "./cluster/status.ts";
import * as stop from "./cluster/stop.ts";

const SUBCOMMANDS = { start, status, restart, stop };

export function configure(command: Command): Command {
  command
    .description("Keeps one coordinator running beside each Redis node of this machine.")
    .addHelpText("after", "\nExample:\n  gearmesh cluster start --redis 127.0.0.1:7001 --daemon");
  for (const [name, subcommand] of Object.entries(SUBCOMMANDS)) {
    const one = command.command(name);
    one.showHelpAfterError(`\`gearmesh cluster ${name} --help\` shows how it is used.`);
    subcommand.configure(one);
  }
  return command;
}
