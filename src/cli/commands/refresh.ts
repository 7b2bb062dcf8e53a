import type { Command } from "commander";
import { EXIT } from "../exit-codes.ts";
import { printJson, printTable } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

export function configure(command: Command): Command {
  command
    .description(
      "REFRESHCLUSTER: has every coordinator read the topology anew and link to the others. Ends with 1 where one of them could not.",
    )
    .action(run);
  return clientCommand(command, "gearmesh refresh");
}

async function run(options: TargetOptions): Promise<void> {
  const shards = await withClient(options, (client) => client.refreshCluster());
  if (options.json) {
    printJson(
      shards.map(({ fault, ...shard }) =>
        fault ? { ...shard, fault: { code: fault.code, message: fault.message } } : shard,
      ),
    );
  } else {
    const rows = shards.map(({ shardId, coordinatorAddress, version, hash, fault }) => [
      shardId.slice(0, 12),
      coordinatorAddress,
      fault ? `${fault.message} (${fault.code})` : `topology ${version} (${hash.slice(0, 12)})`,
    ]);
    printTable(["SHARD", "COORDINATOR", "RESULT"], rows);
  }
  if (shards.some(({ fault }) => fault)) process.exitCode = EXIT.FAULT;
}
