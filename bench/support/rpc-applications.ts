import { type Cluster, type ClusterNode, startCluster } from "../../src/dev/cluster.ts";
import { type BenchProcess, startProcess } from "./child-process.ts";
import { type Metric, orderLoad } from "./own-load.ts";

/**
 * Three shards, at each coordinator an application that serves a method, and at the first one that calls it. All of them are processes of their own, as
 * they are in any language.
 */
export class RpcApplications implements AsyncDisposable {
  readonly #caller: BenchProcess<unknown>;
  readonly #stack: AsyncDisposableStack;

  private constructor(caller: BenchProcess<unknown>, stack: AsyncDisposableStack) {
    this.#caller = caller;
    this.#stack = stack;
  }

  static async start(): Promise<RpcApplications> {
    await using stack = new AsyncDisposableStack();
    const cluster = stack.use(await startCluster({ shards: 3 }));
    const [first, second] = cluster.nodes;
    if (!first || !second) throw new Error("a cluster of three");
    let held = "";
    for (const node of cluster.nodes) {
      const file = "support/rpc-handler-process.ts";
      const handler = await startProcess<{ connectionId: string }>(file, { env: environment(cluster, node) });
      stack.use(handler);
      if (node === second) held = handler.ready.connectionId;
    }
    const env = { ...environment(cluster, first), BENCH_CONNECTION_ID: held };
    const caller = stack.use(await startProcess("support/rpc-caller-process.ts", { env }));
    return new RpcApplications(caller, stack.move());
  }

  measure(call: "to-connection" | "to-all" | "apply", metric: Metric, durationMs: number): Promise<number> {
    return orderLoad(this.#caller, { call, metric, durationMs });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

function environment(cluster: Cluster, { coordinator }: ClusterNode): Readonly<Record<string, string>> {
  return { BENCH_ADDRESS: coordinator.address, BENCH_TOKEN: cluster.token };
}
