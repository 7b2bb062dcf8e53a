/** One request's worth of what a peer is told about this node's subscribers. */
export interface InterestChange {
  /** Whether `added` is all of them, or their beginning. */
  readonly complete: boolean;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Whether more of a complete set follows. */
  readonly more: boolean;
}

/** What the peers have to be told: all, or which types have changed. */
export type Untold = "everything" | ReadonlySet<string>;

/** Names in one request: they fit into the smallest `maxMessageBytes` with the longest names. */
const MAX_NAMES = 200;

/** The types that have subscribers now. */
export interface InterestSource {
  types(): readonly string[];
  has(messageType: string): boolean;
}

/** The requests that tell a peer how it is now with what it has not been told. Everything begins with a complete set, also an empty one. */
export function interestChanges(source: InterestSource, untold: Untold): InterestChange[] {
  const changes: InterestChange[] = [];
  if (untold === "everything") {
    const [first = [], ...rest] = inChunks(source.types());
    changes.push({ complete: true, added: first, removed: [], more: rest.length > 0 });
    for (const [index, added] of rest.entries()) {
      changes.push({ complete: false, added, removed: [], more: index < rest.length - 1 });
    }
    return changes;
  }
  for (const names of inChunks([...untold])) {
    const added = names.filter((messageType) => source.has(messageType));
    const removed = names.filter((messageType) => !source.has(messageType));
    changes.push({ complete: false, added, removed, more: false });
  }
  return changes;
}

function inChunks(names: readonly string[]): string[][] {
  const count = Math.ceil(names.length / MAX_NAMES);
  return Array.from({ length: count }, (_, index) => names.slice(index * MAX_NAMES, (index + 1) * MAX_NAMES));
}
