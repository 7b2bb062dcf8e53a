import type { Address } from "../base/address.ts";
import type { NodeId } from "../topology/topology.ts";

/**
 * Where each node wants to be reached, from CLUSTER SHARDS: its `endpoint`, which cluster-preferred-endpoint-type chooses, and its
 * port. No host where Redis says that it does not know one (`?`, or none at all).
 */
export function parseEndpoints(reply: unknown): ReadonlyMap<NodeId, Partial<Address>> {
  const endpoints = new Map<NodeId, Partial<Address>>();
  for (const shard of items(reply)) {
    for (const node of items(fields(shard).get("nodes"))) {
      const values = fields(node);
      const host = String(values.get("endpoint") ?? "");
      const port = Number(values.get("port") ?? 0);
      endpoints.set(String(values.get("id")), { ...(host && host !== "?" && { host }), ...(port > 0 && { port }) });
    }
  }
  return endpoints;
}

/** A map as RESP2 sends it: names and values in turn. */
function fields(reply: unknown): ReadonlyMap<string, unknown> {
  const flat = items(reply);
  const map = new Map<string, unknown>();
  for (let index = 0; index < flat.length; index += 2) map.set(String(flat[index]), flat[index + 1]);
  return map;
}

function items(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}
