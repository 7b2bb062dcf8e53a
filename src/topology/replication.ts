import type { Topology } from "./topology.ts";

/** What a Redis node says of itself. It is newer than any map. */
export type Replication =
  | { readonly kind: "master" }
  /** `isLinked`: it has its master's data, and is told of what comes. */
  | { readonly kind: "replica"; readonly isLinked: boolean };

/** Whether the map shows our Redis in the role that it has. A replica that was promoted, or a master that was replaced, has another one. */
export function isAsMapped({ kind }: Replication, { self, selfShard }: Topology): boolean {
  return (kind === "master") === (self === selfShard);
}
