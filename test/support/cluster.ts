import { readFile } from "node:fs/promises";
import type { ExecutionContext } from "ava";

import { type Cluster, type ClusterOptions, startCluster } from "../../src/dev/cluster.ts";

const LOG_TAIL_LINES = 20;

/**
 * A cluster of real processes for one test: `await using cluster = await startTestCluster(t, { shards: 3 })`. Where the test
 * failed, the end of each coordinator's log is shown with it.
 */
export async function startTestCluster(t: ExecutionContext, options: ClusterOptions): Promise<Cluster> {
  const cluster = await startCluster(options);
  return {
    ...cluster,
    async [Symbol.asyncDispose]() {
      if (!t.passed) await showLogs(t, cluster);
      await cluster[Symbol.asyncDispose]();
    },
  };
}

async function showLogs(t: ExecutionContext, { nodes }: Cluster): Promise<void> {
  for (const { coordinator } of nodes) {
    const lines = (await readFile(coordinator.logPath, "utf8")).trimEnd().split("\n");
    t.log(`the end of the log of ${coordinator.address}:\n${lines.slice(-LOG_TAIL_LINES).join("\n")}`);
  }
}
