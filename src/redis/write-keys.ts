import type { RedisEndpoint } from "./redis-endpoint.ts";
import { StoreClient } from "./store-client.ts";

/** Keys in flight: enough to hide round trips, few enough for any Redis. */
const BATCH = 500;

/** Sets string keys wherever in the cluster they belong; `node` is any node of it. `written` is told how many are done. Rejects with a Fault. */
export async function writeKeys(
  node: RedisEndpoint,
  entries: ReadonlyMap<string, string>,
  written?: (count: number) => void,
): Promise<void> {
  // The command that met an error rejects with it.
  const client = new StoreClient(node, () => undefined);
  try {
    const pending = [...entries];
    for (let start = 0; start < pending.length; start += BATCH) {
      const batch = pending.slice(start, start + BATCH);
      await Promise.all(batch.map(([key, value]) => client.command(key, ["SET", key, value])));
      written?.(start + batch.length);
    }
  } finally {
    await client.close();
  }
}
