/** Names that are remembered; each restart of a peer is another one. */
const MAX_NAMES = 4096;

/**
 * What peers say they go by, each by its run id: two coordinators beside one Redis have one node id. A name is for people, and may be another a moment later: it comes with the
 * heartbeats, and nothing is decided by it.
 */
export class NodeNames {
  readonly #byRunId = new Map<string, string>();

  /** Undefined: it has said none yet. */
  of(runId: string): string | undefined {
    return this.#byRunId.get(runId);
  }

  heard(runId: string, name: string): void {
    if (name === "") return;
    this.#byRunId.set(runId, name);
    for (const oldest of this.#byRunId.keys()) {
      if (this.#byRunId.size <= MAX_NAMES) return;
      this.#byRunId.delete(oldest);
    }
  }
}
