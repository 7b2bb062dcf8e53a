import type { Command } from "commander";
import { formatAddress } from "../../base/address.ts";
import type { ClusterShard, ClusterTopology } from "../../client/topology.ts";
import { printJson, printTable } from "../print.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface Options extends TargetOptions {
  readonly watch?: boolean;
  readonly key?: string;
}

export function configure(command: Command): Command {
  command
    .description("Shows the cluster as the coordinator that answers sees it.")
    .option("--watch", "show each change until interrupted")
    .option("--key <key>", "show slot and shard of this key instead")
    .action(run);
  return clientCommand(command, "gearmesh topology");
}

async function run({ watch, key, ...options }: Options): Promise<void> {
  const show = options.json ? printJson : printTopology;
  await withClient(options, async (client) => {
    if (key !== undefined) {
      const location = await client.locateKey(key);
      if (options.json) return printJson(location);
      console.log(`slot ${location.slot}`);
      return printShards([location.shard]);
    }
    if (!watch) return show(await client.topology());
    for await (const topology of client.watchTopology()) show(topology);
  });
}

function printTopology({ nodeName, role, mode, version, hash, shards }: ClusterTopology): void {
  console.log(`${nodeName}, ${role}, ${mode} mode, topology ${version} (${hash.slice(0, 12)})\n`);
  printShards(shards);
}

function printShards(shards: readonly ClusterShard[]): void {
  const rows = shards.map((shard) => [
    shard.id.slice(0, 12),
    formatAddress(shard),
    shard.coordinatorAddress,
    shard.slots.map(({ start, end }) => (start === end ? `${start}` : `${start}-${end}`)).join(",") || "none",
    shard.link,
  ]);
  printTable(["SHARD", "REDIS", "COORDINATOR", "SLOTS", "LINK"], rows);
}
