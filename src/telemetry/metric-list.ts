import { createMetrics, type MetricSources } from "./metrics.ts";

/** A metric as whoever reads it must know it. */
export interface ListedMetric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** What its series differ by. */
  readonly labels: readonly string[];
}

/** Of a coordinator that has just been made: for the docs, and whatever else asks only which metrics there are. */
export const IDLE_SOURCES: MetricSources = {
  node: () => ({ name: "", isReady: false, isSandboxUp: false, slots: 0, shards: 0, topologyHash: "" }),
  links: () => ({ open: 0, connecting: 0 }),
  linkInFlight: () => 0,
  linkWaitingBytes: () => 0,
  topologyVersion: () => 0,
  isActive: () => false,
  isOwner: () => true,
  libraries: () => 0,
  quarantinedLibraries: () => 0,
  connections: () => ({ attached: 0, away: 0 }),
  deliveries: () => 0,
  rpcPending: () => 0,
  registeredMethods: () => 0,
  rooms: () => ({ held: 0, members: 0, watches: 0 }),
  storage: () => ({ leases: 0, watches: 0, watchedKeys: 0 }),
  cache: () => ({ waiting: 0, locks: 0 }),
  tasks: () => ({ held: 0, poolSize: 0, poolBusy: 0, workers: 0, awaited: 0, depths: new Map() }),
  isRedisUp: () => false,
  pubSub: () => ({ subscriptions: 0, types: 0, peerTypes: 0, queuedBytes: 0 }),
};

/** Every metric of a coordinator, in the order in which they are shown. */
export async function listMetrics(): Promise<readonly ListedMetric[]> {
  const { registry } = createMetrics("0.0.0", IDLE_SOURCES);
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, type, help }) => ({
    name,
    type: String(type),
    help,
    // What prom-client keeps and its types leave out.
    labels:
      (registry.getSingleMetric(name) as { readonly labelNames?: readonly string[] } | undefined)?.labelNames ?? [],
  }));
}
