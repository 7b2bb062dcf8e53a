import type { Command } from "commander";
import { printJson } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

export function configure(command: Command): Command {
  command
    .description("Deletes a library from every shard. Calls that run finish.")
    .argument("<library>", "its name")
    .action(run);
  return clientCommand(command, "gearmesh delete lib", 30_000);
}

async function run(library: string, options: TargetOptions): Promise<void> {
  const deleted = await withClient(options, (client) => client.delete(library));
  if (options.json) return printJson({ library, ...deleted });
  console.log(`deleted ${library}, revision ${deleted.revision}`);
  if (deleted.pending.length > 0) console.log(`not dropped yet by ${deleted.pending.join(", ")}`);
}
