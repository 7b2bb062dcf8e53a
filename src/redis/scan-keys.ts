import { type Address, formatAddress } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import type { RedisReply } from "../functions/shard-redis.ts";
import type { ClusterViewSource } from "../topology/cluster-view.ts";
import type { NodeId, Slot } from "../topology/topology.ts";
import { type ClusterNode, parseClusterNodes } from "./cluster-nodes.ts";
import { readFailed } from "./read-failure.ts";
import type { StoreClient } from "./store-client.ts";

/** Keys that one SCAN looks at: it holds Redis up for some 100 us. */
const SCAN_COUNT = 1000;

/** What one SCAN has found, and how far all of them have come. */
export interface ScannedKeys {
  readonly keys: readonly string[];
  /** Masters that were scanned to their end, and all that will be. */
  readonly mastersDone: number;
  readonly masters: number;
  /** Keys that were looked at, about, and all that there are. */
  readonly keysSeen: number;
  readonly keysTotal: number;
}

/**
 * The keys that match a pattern of Redis, from all masters, in no order; some may come twice. A key whose slot moves is missed where its new master was scanned before it came, and its old one after it had left: so masters that have got
 * slots meanwhile, or are getting some, are scanned again. What was there all the time comes, unless its slot moved twice. Rejects with UNAVAILABLE where a master cannot be reached.
 */
export async function* scanKeys(
  client: StoreClient,
  view: ClusterViewSource,
  pattern: string,
): AsyncGenerator<ScannedKeys, void, undefined> {
  const before = await holdings(client, view);
  const progress = { mastersDone: 0, masters: before.size, keysSeen: 0, keysTotal: 0 };
  for (const { keyCount } of before.values()) progress.keysTotal += keyCount;
  const scan = async function* (node: Holding): AsyncGenerator<ScannedKeys, void, undefined> {
    let seen = 0;
    for await (const { keys, isLast } of scanNode(client, node.address, pattern)) {
      const looked = isLast ? Math.max(seen, node.keyCount) : Math.min(seen + SCAN_COUNT, node.keyCount);
      progress.keysSeen += looked - seen;
      seen = looked;
      if (isLast) progress.mastersDone++;
      yield { keys, ...progress };
    }
  };
  for (const node of before.values()) yield* scan(node);
  for (const [id, after] of await holdings(client, view)) {
    if (!hasReceived(before.get(id), after)) continue;
    progress.masters++;
    progress.keysTotal += after.keyCount;
    yield* scan(after);
  }
}

/** For a pattern, in which some characters have a meaning. */
export function literalPattern(text: string): string {
  return text.replace(/[\\*?[\]]/g, "\\$&");
}

async function* scanNode(
  client: StoreClient,
  node: Address,
  pattern: string,
): AsyncGenerator<{ readonly keys: readonly string[]; readonly isLast: boolean }, void, undefined> {
  const options = ["MATCH", pattern, "COUNT", String(SCAN_COUNT)];
  let cursor = "0";
  do {
    const reply = await client.commandAt(node, ["SCAN", cursor, ...options]).catch(readFailed);
    const [next, keys] = Array.isArray(reply) ? (reply as readonly RedisReply[]) : [];
    if (!Array.isArray(keys)) throw new Fault("UNAVAILABLE", `Redis at ${formatAddress(node)} answered SCAN with none`);
    cursor = String(next);
    yield { keys: (keys as readonly RedisReply[]).map(String), isLast: cursor === "0" };
  } while (cursor !== "0");
}

/** What a master has. */
interface Holding {
  readonly address: Address;
  readonly slots: ReadonlySet<Slot>;
  readonly isImporting: boolean;
  readonly keyCount: number;
}

/** Each master is asked itself: the others learn of its slots later, and of those on their way to it never. */
async function holdings(client: StoreClient, view: ClusterViewSource): Promise<ReadonlyMap<NodeId, Holding>> {
  const { shards } = await view.read();
  const isAlone = shards.length === 1;
  const entries = shards.map(async ({ id, address }) => {
    const own = isAlone ? undefined : await ownLine(client, address);
    const slots = new Set((own?.slots ?? []).flatMap(({ start, end }) => range(start, end)));
    const keyCount = Number(await client.commandAt(address, ["DBSIZE"]).catch(readFailed));
    return [id, { address, slots, isImporting: own?.isImporting ?? false, keyCount }] as const;
  });
  return new Map(await Promise.all(entries));
}

async function ownLine(client: StoreClient, address: Address): Promise<ClusterNode | undefined> {
  const reply = await client.commandAt(address, ["CLUSTER", "NODES"]).catch(readFailed);
  return parseClusterNodes(String(reply)).find(({ flags }) => flags.has("myself"));
}

function hasReceived(before: Holding | undefined, after: Holding): boolean {
  return before === undefined || after.isImporting || !after.slots.isSubsetOf(before.slots);
}

function range(start: Slot, end: Slot): Slot[] {
  return Array.from({ length: end - start + 1 }, (_, index) => start + index);
}
