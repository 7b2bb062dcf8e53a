import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import type { Address } from "../base/address.ts";
import { RedisClusterView } from "../redis/cluster-view.ts";
import { createControlClient } from "../redis/control-client.ts";
import type { RedisEndpoint } from "../redis/redis-endpoint.ts";

/**
 * The Redis nodes of the cluster that run on this machine, masters and replicas, by their ports: those of `given`'s cluster whose host is one of our addresses.
 * A Redis without cluster mode is the only one. Rejects with UNAVAILABLE where `given` does not tell.
 */
export async function findLocalRedises(given: RedisEndpoint): Promise<readonly Address[]> {
  const client = createControlClient(given, {
    name: "gearmesh:supervisor",
    onError: () => {
      // Asking for the view rejects with it.
    },
  });
  try {
    await client.connect().catch(() => undefined);
    const { shards, replicas } = await new RedisClusterView(client, given).read();
    const addresses = [...shards, ...replicas].map(({ address }) => address);
    const ours = ownAddresses();
    const local = await Promise.all(addresses.map(({ host }) => isOurs(host, ours)));
    return addresses.filter((_, index) => local[index]).sort((a, b) => a.port - b.port);
  } finally {
    client.disconnect();
  }
}

function ownAddresses(): ReadonlySet<string> {
  const interfaces = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return new Set(interfaces.map(({ address }) => address));
}

/** All of 127.0.0.0/8 is this machine, whatever of it the interface names. */
async function isOurs(host: string, ours: ReadonlySet<string>): Promise<boolean> {
  const resolved = await lookup(host, { all: true }).catch(() => []);
  return resolved.some(({ address }) => ours.has(address) || address.startsWith("127."));
}
