import type { Deadline } from "../base/deadline.ts";
import { PeerLane } from "./peer-lane.ts";
import type { PubSubParts } from "./pubsub-parts.ts";
import { Waiters } from "./waiters.ts";

export interface PeerRoutesParts extends Pick<PubSubParts, "peer" | "wheel"> {
  /** Whether a process has a link to us. */
  readonly isLinkedToUs: (runId: string) => boolean;
}

/** Our links to other nodes, by the processes that they lead to: a node may be another process at any time, which knows nothing of the one before. */
export class PeerRoutes {
  readonly #parts: PeerRoutesParts;
  /** The process at the end of our link to each node, by node id, and the way to it. */
  readonly #routes = new Map<string, { readonly runId: string; readonly lane: PeerLane }>();
  readonly #waiters: Waiters<string>;

  constructor(parts: PeerRoutesParts) {
    this.#parts = parts;
    this.#waiters = new Waiters(parts.wheel);
  }

  /** Our link to a node leads to this process now. */
  linkOpened(nodeId: string, runId: string): void {
    const { peer, isLinkedToUs, wheel } = this.#parts;
    const before = this.#routes.get(nodeId);
    for (const [node, { runId: run }] of this.#routes) {
      // The node id of its Redis has changed, or the node is gone.
      if (run === runId || (!peer(node) && !isLinkedToUs(run))) this.#routes.delete(node);
    }
    // Where the link was replaced, what is still on its way by the one before goes first.
    const lane = before?.runId === runId ? before.lane : new PeerLane(() => peer(nodeId), wheel);
    this.#routes.set(nodeId, { runId, lane });
    this.#waiters.settle((awaited) => awaited === runId);
  }

  /** The ways to the processes that are meant. */
  to(isMeant: (runId: string) => boolean): PeerLane[] {
    const lanes: PeerLane[] = [];
    for (const { runId, lane } of this.#routes.values()) if (isMeant(runId)) lanes.push(lane);
    return lanes;
  }

  /** Resolves once a link to this process is open, and at the deadline all the same. */
  async opened(runId: string, deadline: Deadline): Promise<void> {
    if (!this.#isOpen(runId)) await this.#waiters.wait(runId, deadline);
  }

  #isOpen(runId: string): boolean {
    for (const [nodeId, route] of this.#routes)
      if (route.runId === runId) return this.#parts.peer(nodeId) !== undefined;
    return false;
  }
}
