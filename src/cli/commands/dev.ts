import { type Command, InvalidArgumentError } from "commander";
import { runDev } from "../../dev/run-dev.ts";

interface Options {
  readonly once?: boolean;
  readonly basePort?: number;
}

export function configure(command: Command): Command {
  return command
    .description(
      "Runs three Redis masters and three coordinators on this machine, loads an example library and calls it. Ctrl-C ends it all and leaves nothing behind.",
    )
    .option("--once", "end after the demo")
    .option("--base-port <port>", "first Redis port (default: the first that is free from 7001)", port)
    .addHelpText("after", "\nExample:\n  gearmesh dev --once")
    .action((options: Options) => runDev(options));
}

function port(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1024 || number > 60_000) {
    throw new InvalidArgumentError("It must be a port from 1024 to 60000.");
  }
  return number;
}
