import { readFile } from "node:fs/promises";
import type { ExecutionContext } from "ava";

import { type Cluster, type ClusterOptions, startCluster } from "../../src/dev/cluster.ts";

const LOG_TAIL_LINES = 20;

/** How long functions may take where nobody has said so. */
export const DEFAULT_TIMES = {
  GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: "500",
  GEARMESH_LOCK_REDIS_TIMEOUT: "500",
  GEARMESH_RUN_TIMEOUT_MS: "500",
};

/** How long they may take in tests that ask for something else: a busy machine stops for half a second now and then. */
const PATIENT_TIMES = {
  GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: "10000",
  GEARMESH_LOCK_REDIS_TIMEOUT: "5000",
  GEARMESH_RUN_TIMEOUT_MS: "5000",
};

/** A cluster for all tests of a file: functions have their time there, but for what the options say. */
export function startPatientCluster(options: ClusterOptions): Promise<Cluster> {
  return startCluster({ ...options, env: { ...PATIENT_TIMES, ...options.env } });
}

/**
 * The same for one test: `await using cluster = await startTestCluster(t, { shards: 3 })`. Where the test failed, the end of
 * each coordinator's log is shown with it.
 */
export async function startTestCluster(t: ExecutionContext, options: ClusterOptions): Promise<Cluster> {
  const cluster = await startPatientCluster(options);
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
