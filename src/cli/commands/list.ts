import type { Command } from "commander";
import type { LibraryDescription, RunCounters } from "../../client/library.ts";
import { printJson, printTable } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly withText?: boolean;
}

export function configure(command: Command): Command {
  command
    .description(
      "Shows the libraries that are loaded, what they registered, and how often each function ran on the coordinator that is asked.",
    )
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
  printTable(
    ["LIBRARY", "REVISION", "FUNCTION", "KIND", "FLAGS", "CALLS", "ERRORS", "SECONDS"],
    libraries.flatMap(rowsOf),
  );
  for (const { name, state } of libraries) if (state !== "ok") console.log(`${name} is ${state}`);
}

function rowsOf({ name, revision, functions, ...others }: LibraryDescription): string[][] {
  const library = [name, String(revision)];
  const rows = (kind: string, names: readonly string[], counters: readonly RunCounters[]): string[][] =>
    names.map((one, index) => [...library, one, kind, "", ...countersOf(counters[index])]);
  return [
    ...functions.map((one) => [
      ...library,
      one.name,
      one.isAsync ? "async" : "sync",
      one.flags.join(","),
      ...countersOf(one.counters),
    ]),
    ...rows("remote", others.remoteFunctions, others.remoteCounters),
    ...rows("method", others.rpcMethods, others.rpcCounters),
    ...rows("task", others.tasks, others.taskCounters),
    ...rows("middleware", others.taskStages, others.stageCounters),
  ];
}

function countersOf(counters: RunCounters | undefined): string[] {
  if (!counters) return [];
  return [String(counters.calls), String(counters.errors), counters.totalSeconds.toFixed(3)];
}
