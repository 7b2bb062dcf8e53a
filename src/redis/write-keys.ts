import { Cluster } from "ioredis";
import type { RedisEndpoint } from "./redis-endpoint.ts";

/** Keys in flight: enough to hide round trips, few enough for any Redis. */
const BATCH = 500;

/** Sets string keys wherever in the cluster they belong. `written` is told how many are done. */
export async function writeKeys(
  nodes: readonly RedisEndpoint[],
  entries: ReadonlyMap<string, string>,
  written?: (count: number) => void,
): Promise<void> {
  const cluster = new Cluster(
    nodes.map(({ host, port }) => ({ host, port })),
    { enableOfflineQueue: false, lazyConnect: true, clusterRetryStrategy: () => null },
  );
  cluster.on("error", () => {
    // The command that met the error rejects with it.
  });
  try {
    await cluster.connect();
    const pending = [...entries];
    for (let start = 0; start < pending.length; start += BATCH) {
      const batch = pending.slice(start, start + BATCH);
      await Promise.all(batch.map(([key, value]) => cluster.set(key, value)));
      written?.(start + batch.length);
    }
  } finally {
    cluster.disconnect();
  }
}
