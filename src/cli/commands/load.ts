import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { printJson } from "../print.ts";
import { UsageError } from "../report-error.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly replace?: boolean;
  readonly allowMissing?: boolean;
  readonly config?: string;
}

const STDIN = 0;

export function configure(command: Command): Command {
  command
    .description("Loads a library on every shard, or on none.")
    .argument("<file>", "the library; - reads standard input")
    .option("--replace", "replace a library of the same name")
    .option("--allow-missing", "load although some shards cannot be reached; they get it when they return")
    .option("--config <json>", "JSON object that the library sees as redis.config")
    .action(run);
  return clientCommand(command, "gearmesh load --replace my-library.js", 30_000);
}

async function run(file: string, { replace, allowMissing, config, ...options }: Options): Promise<void> {
  const text = readText(file);
  const loaded = await withClient(options, (client) =>
    client.load(text, {
      replace: replace === true,
      allowMissing: allowMissing === true,
      ...(config !== undefined && { config }),
    }),
  );
  if (options.json) return printJson(loaded);
  const { library, revision, hash, pending } = loaded;
  console.log(`loaded ${library}, revision ${revision}, hash ${hash.slice(0, 12)}`);
  if (pending.length > 0) console.log(`not adopted yet by ${pending.join(", ")}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file === "-" ? STDIN : file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : cause;
    throw new UsageError(`cannot read ${file} (${code})`, { cause });
  }
}
