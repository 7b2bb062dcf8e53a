import type { Command } from "commander";
import { EXIT } from "../exit-codes.ts";
import { printJson, printTable } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly node?: string;
}

export function configure(command: Command): Command {
  command
    .description(
      "Shows how much each coordinator logs, by capability, or changes it until it stops. Ends with 1 where one of them could not.",
    )
    .argument("[capability]", "which one's level changes: mesh, tasks, ..., or all")
    .argument("[level]", "trace, debug, info, warn, error, fatal or silent")
    .option("--node <name>", "the coordinator of this name only")
    .action(run);
  return clientCommand(command, "gearmesh log-level mesh debug");
}

async function run(capability: string | undefined, level: string | undefined, { node, ...options }: Options) {
  const args = [capability, level].filter((arg) => arg !== undefined);
  const target = node === undefined ? "all" : { node };
  const replies = await withClient(options, (client) => client.rpc("log.level", { args, target }));
  if (options.json) {
    printJson(
      replies.map(({ fault, ...reply }) => (fault ? { ...reply, code: fault.code, message: fault.message } : reply)),
    );
  } else {
    printTable(
      ["COORDINATOR", "LEVELS"],
      replies.map((reply) => [
        reply.node,
        reply.fault ? `${reply.fault.message} (${reply.fault.code})` : levelsText(reply.value),
      ]),
    );
  }
  if (replies.some(({ fault }) => fault)) process.exitCode = EXIT.FAULT;
}

function levelsText(levels: unknown): string {
  return Object.entries(levels ?? {})
    .map((pair) => pair.join("="))
    .join(" ");
}
