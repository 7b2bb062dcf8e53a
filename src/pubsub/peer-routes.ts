import type { Deadline } from "../base/deadline.ts";
import type { PubSubParts, PubSubPeer } from "./pubsub-parts.ts";
import { Waiters } from "./waiters.ts";

export interface PeerRoutesParts extends Pick<PubSubParts, "peer" | "wheel"> {
  /** Whether a process has a link to us. */
  readonly isLinkedToUs: (runId: string) => boolean;
}

/** Our links to other nodes, by the processes that they lead to: a node may be another process at any time, which knows nothing of the one before. */
export class PeerRoutes {
  readonly #parts: PeerRoutesParts;
  /** The process at the end of our link to each node, by node id. */
  readonly #runs = new Map<string, string>();
  readonly #waiters: Waiters<string>;

  constructor(parts: PeerRoutesParts) {
    this.#parts = parts;
    this.#waiters = new Waiters(parts.wheel);
  }

  /** Our link to a node leads to this process now. */
  linkOpened(nodeId: string, runId: string): void {
    const { peer, isLinkedToUs } = this.#parts;
    for (const [node, run] of this.#runs) {
      // The node id of its Redis has changed, or the node is gone.
      if (run === runId || (!peer(node) && !isLinkedToUs(run))) this.#runs.delete(node);
    }
    this.#runs.set(nodeId, runId);
    this.#waiters.settle((awaited) => awaited === runId);
  }

  /** The nodes whose processes are meant; undefined for one whose link is not open now. */
  to(isMeant: (runId: string) => boolean): (PubSubPeer | undefined)[] {
    const nodes: (PubSubPeer | undefined)[] = [];
    for (const [nodeId, runId] of this.#runs) if (isMeant(runId)) nodes.push(this.#parts.peer(nodeId));
    return nodes;
  }

  /** Resolves once a link to this process is open, and at the deadline all the same. */
  async opened(runId: string, deadline: Deadline): Promise<void> {
    if (!this.to((run) => run === runId)[0]) await this.#waiters.wait(runId, deadline);
  }
}
