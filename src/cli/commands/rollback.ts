import type { Command } from "commander";
import { printJson } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly allowMissing?: boolean;
}

export function configure(command: Command): Command {
  command
    .description("Loads what was loaded before the present version of a library, on every shard or on none.")
    .argument("<library>", "its name")
    .option("--allow-missing", "roll back although some shards cannot be reached; they get it when they return")
    .action(run);
  return clientCommand(command, "gearmesh rollback lib", 30_000);
}

async function run(library: string, { allowMissing, ...options }: Options): Promise<void> {
  const rolledBack = await withClient(options, (client) =>
    client.rollback(library, { allowMissing: allowMissing === true }),
  );
  if (options.json) return printJson({ library, ...rolledBack });
  const { revision, restoredRevision, hash, pending } = rolledBack;
  const what = `revision ${revision} is what revision ${restoredRevision} was, hash ${hash.slice(0, 12)}`;
  console.log(`rolled back ${library}: ${what}`);
  if (pending.length > 0) console.log(`not adopted yet by ${pending.join(", ")}`);
}
