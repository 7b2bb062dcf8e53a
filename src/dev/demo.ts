import { readFile } from "node:fs/promises";

import type { Address } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import { connect } from "../client/client.ts";
import { writeKeys } from "../redis/write-keys.ts";
import type { Cluster } from "./cluster.ts";
import { askRedis } from "./inline-command.ts";

const LIBRARY = new URL("../../examples/seed.js", import.meta.url);

export interface DemoResult {
  /** Keys that each Redis says it holds, in the order of the cluster's nodes. */
  readonly keysByShard: readonly number[];
  /** Keys of the cluster, as `lib.my_dbsize` counted them across the shards. */
  readonly total: string;
}

/**
 * Loads the example library, fills the cluster up to `keyCount` keys, and counts them: each Redis by itself, and all through gearmesh.
 * gearmesh's own records are keys like any other, so they are among those that are counted.
 */
export async function runDemo(cluster: Cluster, keyCount: number, step: (what: string) => void): Promise<DemoResult> {
  const [first] = cluster.nodes;
  if (!first) throw new Fault("INVALID_ARGUMENT", "a cluster without nodes");
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  const { library } = await client.load(await readFile(LIBRARY, "utf8"), { replace: true });
  step(`library ${library} is loaded on every shard`);
  const redises = cluster.nodes.map(({ redis }) => redis);
  const recordCount = (await Promise.all(redises.map(keysOf))).reduce((sum, count) => sum + count);
  const entries = Array.from(
    { length: keyCount - recordCount },
    (_, index) => [`key:${index}`, `value ${index}`] as const,
  );
  await writeKeys(first.redis, new Map(entries));
  step(`${keyCount} keys are written, ${recordCount} of them gearmesh's own records (libraries and node names)`);
  const keysByShard = await Promise.all(redises.map(keysOf));
  const total = await client.call("lib.my_dbsize");
  return { keysByShard, total: String(total) };
}

async function keysOf(redis: Address): Promise<number> {
  const answer = await askRedis(redis, "DBSIZE");
  if (!answer?.startsWith(":"))
    throw new Fault("UNAVAILABLE", `Redis on port ${redis.port} does not tell its number of keys`);
  return Number(answer.slice(1));
}
