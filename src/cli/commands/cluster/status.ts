import type { Command } from "commander";
import type { InstanceStatus } from "../../../supervisor/control-socket.ts";
import { type DirectoryOptions, directoryOption, requireSupervisor } from "../../cluster-directory.ts";
import { EXIT } from "../../exit-codes.ts";
import { printJson, printTable } from "../../print.ts";

interface Options extends DirectoryOptions {
  readonly json?: boolean;
}

export function configure(command: Command): Command {
  return directoryOption(command)
    .description("Shows the instances. It ends with 0 only where all of them are ready.")
    .option("--json", "print JSON, errors too")
    .addHelpText("after", "\nExample:\n  gearmesh cluster status --json")
    .action(run);
}

async function run({ directory, json }: Options): Promise<void> {
  const status = await requireSupervisor(directory);
  const { pid, isRolling, instances } = status;
  if (instances.length === 0 || instances.some(({ state }) => state !== "ready")) process.exitCode = EXIT.UNAVAILABLE;
  if (json) return printJson(status);
  console.log(`supervisor: process ${pid}${isRolling ? ", starting the instances again, one at a time" : ""}\n`);
  printTable(["NAME", "PID", "REDIS", "COORDINATOR", "STATE", "UPTIME", "RESTARTS"], instances.map(row));
}

function row({ name, pid, redis, address, state, uptimeMs, restarts }: InstanceStatus): readonly string[] {
  return [name, String(pid ?? ""), redis, address ?? "", state, `${Math.round(uptimeMs / 1000)} s`, String(restarts)];
}
