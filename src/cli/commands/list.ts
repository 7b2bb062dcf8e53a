import type { Command } from "commander";
import { printJson, printTable } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly withText?: boolean;
}

export function configure(command: Command): Command {
  command
    .description("Shows the libraries that are loaded and what they registered.")
    .argument("[library]", "only this one")
    .option("--with-text", "with the libraries' text (with --json)")
    .action(run);
  return clientCommand(command, "gearmesh list");
}

async function run(library: string | undefined, { withText, ...options }: Options): Promise<void> {
  const libraries = await withClient(options, (client) =>
    client.list({ withText: withText === true, ...(library !== undefined && { library }) }),
  );
  if (options.json) return printJson(libraries);
  if (libraries.length === 0) return console.log("nothing is loaded");
  const rows = libraries.flatMap(({ name, revision, functions, remoteFunctions }) => [
    ...functions.map((one) => [name, String(revision), one.name, one.isAsync ? "async" : "sync", one.flags.join(",")]),
    ...remoteFunctions.map((remote) => [name, String(revision), remote, "remote", ""]),
  ]);
  printTable(["LIBRARY", "REVISION", "FUNCTION", "KIND", "FLAGS"], rows);
}
