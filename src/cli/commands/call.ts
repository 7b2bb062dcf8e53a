import type { Command } from "commander";
import { jsonOfReply, printJson, printReply } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly key?: readonly string[];
}

export function configure(command: Command): Command {
  command
    .description(
      "Calls a function and prints what it returns. It runs on the shard of its keys; without keys, where it arrives.",
    )
    .argument("<library.function>", "what to call")
    .argument("[arguments...]", "its arguments; after -- they may begin with a dash")
    .option("-k, --key <key>", "a key the function works on; may be repeated", (key, keys: string[] = []) => [
      ...keys,
      key,
    ])
    .action(run);
  return clientCommand(command, "gearmesh call lib.get --key user:1");
}

async function run(name: string, args: string[], { key: keys = [], ...options }: Options): Promise<void> {
  const reply = await withClient(options, (client) => client.call(name, { keys, args, raw: true }));
  if (options.json) printJson(jsonOfReply(reply));
  else printReply(reply);
}
