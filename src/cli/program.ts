import { Command } from "commander";
import { packageVersion } from "../app/version.ts";
import { EXIT } from "./exit-codes.ts";

/** Each command's file is loaded only when the command is named, so that a call does not wait for what it does not need. */
export const COMMANDS: Readonly<
  Record<string, { summary: string; load: () => Promise<{ configure(command: Command): Command }> }>
> = {
  serve: { summary: "run a coordinator", load: () => import("./commands/serve.ts") },
  cluster: {
    summary: "run a coordinator beside each Redis node of this machine",
    load: () => import("./commands/cluster.ts"),
  },
  dev: { summary: "run a cluster on this machine, to try things out", load: () => import("./commands/dev.ts") },
  load: { summary: "load a library on every shard", load: () => import("./commands/load.ts") },
  call: { summary: "call a function", load: () => import("./commands/call.ts") },
  list: { summary: "show what is loaded", load: () => import("./commands/list.ts") },
  rollback: {
    summary: "load a library's previous version again, on every shard",
    load: () => import("./commands/rollback.ts"),
  },
  delete: { summary: "delete a library from every shard", load: () => import("./commands/delete.ts") },
  cache: { summary: "write the cache to a file, or restore it from one", load: () => import("./commands/cache.ts") },
  tasks: {
    summary: "enqueue tasks, show them and their queues, retry or delete them",
    load: () => import("./commands/tasks.ts"),
  },
  topology: { summary: "show who owns which slots", load: () => import("./commands/topology.ts") },
  refresh: { summary: "have every coordinator read the topology anew", load: () => import("./commands/refresh.ts") },
  "log-level": {
    summary: "show or change how much the coordinators log",
    load: () => import("./commands/log-level.ts"),
  },
  config: {
    summary: "show the settings of a coordinator and their sources",
    load: () => import("./commands/config.ts"),
  },
};

const EXIT_CODES = `Exit codes: ${EXIT.OK} done, ${EXIT.FAULT} refused or failed, ${EXIT.USAGE} wrong usage, ${EXIT.UNAVAILABLE} unavailable, ${EXIT.SOFTWARE} bug, ${EXIT.NO_PERMISSION} wrong token, ${EXIT.CONFIG} wrong settings.`;

/** The command line. Of the commands only `named` is complete. */
export async function createProgram(named: string | undefined, asJson: boolean): Promise<Command> {
  const program = new Command("gearmesh")
    .description("Functions that run where the data is, for a stock Redis or Valkey Cluster.")
    .version(packageVersion(), "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help of a command")
    .showHelpAfterError("`gearmesh --help` shows how it is used.")
    .addHelpText("after", `\nExample:\n  gearmesh call lib.my_dbsize\n\n${EXIT_CODES}`)
    .exitOverride();
  if (asJson) program.configureOutput({ writeErr: () => undefined });
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    const command = program.command(name).summary(summary);
    command.showHelpAfterError(`\`gearmesh ${name} --help\` shows how it is used.`);
    if (name === named) (await load()).configure(command);
  }
  return program;
}
