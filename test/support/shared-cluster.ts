import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterOptions } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "./cluster.ts";

export interface SharedCluster {
  /** There once the tests begin. */
  cluster(): Cluster;
  /** One for each coordinator. */
  clients(): readonly GearmeshClient[];
  /** Of the coordinator with this number; they begin anew behind the last one. */
  client(index: number): GearmeshClient;
}

/** One cluster for all tests of a file, with a client of each coordinator. To be asked for at the top of the file. */
export function sharedCluster(options: ClusterOptions): SharedCluster {
  let cluster: Cluster | undefined;
  let clients: readonly GearmeshClient[] = [];
  test.before(async () => {
    cluster = await startPatientCluster(options);
    const { nodes, token } = cluster;
    clients = nodes.map(({ coordinator: { address } }) => connect({ address, token, timeoutMs: 30_000 }));
  });
  test.after.always(async () => {
    for (const client of clients) client.close();
    await cluster?.[Symbol.asyncDispose]();
  });
  return {
    cluster() {
      if (!cluster) throw new Error("the cluster is there once the tests begin");
      return cluster;
    },
    clients: () => clients,
    client(index) {
      const found = clients[index % clients.length];
      if (!found) throw new Error(`there is no coordinator ${index}`);
      return found;
    },
  };
}
