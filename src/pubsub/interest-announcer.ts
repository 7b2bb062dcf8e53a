import { NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { InterestChange, InterestSource } from "./interest-change.ts";
import { InterestSync } from "./interest-sync.ts";
import { syncInterestRequest } from "./pubsub-codec.ts";
import type { PubSubPeer } from "./pubsub-parts.ts";

/** Longest that one peer may take to note a change. Unit: ms. */
const REQUEST_TIMEOUT_MS = 5000;

/** Longest that a subscriber waits for the word that its subscription stands. Unit: ms. */
const ANNOUNCEMENT_TIMEOUT_MS = 2000;

export interface InterestAnnouncerParts {
  readonly runId: string;
  readonly source: InterestSource;
  /** Undefined: no link to it is open. */
  readonly peer: (nodeId: string) => PubSubPeer | undefined;
  readonly wheel: TimerWheel;
}

/** Keeps every linked peer told of the types that have subscribers here. */
export class InterestAnnouncer {
  readonly #parts: InterestAnnouncerParts;
  /** By node id. */
  readonly #syncs = new Map<string, InterestSync>();
  #sequence = 0;

  constructor(parts: InterestAnnouncerParts) {
    this.#parts = parts;
  }

  linkOpened(nodeId: string): void {
    const sync = this.#syncs.get(nodeId) ?? this.#newSync(nodeId);
    this.#syncs.set(nodeId, sync);
    sync.linkOpened();
  }

  changed(types: readonly string[]): void {
    if (types.length === 0) return;
    for (const sync of this.#syncs.values()) sync.changed(types);
  }

  /** Resolves once every linked peer knows how it is now, within a bound. */
  async announced(): Promise<void> {
    const deadline = deadlineIn(ANNOUNCEMENT_TIMEOUT_MS, this.#parts.wheel.now());
    await Promise.all([...this.#syncs.values()].map((sync) => sync.told(deadline)));
  }

  #newSync(nodeId: string): InterestSync {
    const { source, wheel, peer } = this.#parts;
    return new InterestSync({
      source,
      wheel,
      isLinked: () => peer(nodeId) !== undefined,
      send: (change) => this.#send(nodeId, change),
      ended: () => this.#syncs.delete(nodeId),
    });
  }

  async #send(nodeId: string, change: InterestChange): Promise<void> {
    const { runId, peer, wheel } = this.#parts;
    const linked = peer(nodeId);
    if (!linked) throw new Fault("UNAVAILABLE", `no link to ${nodeId}`);
    const sequence = ++this.#sequence;
    const body = syncInterestRequest.encode({ ...change, runId, sequence });
    const deadline = deadlineIn(REQUEST_TIMEOUT_MS, wheel.now());
    await linked.request("syncInterest", body, { deadline, signal: NEVER_ABORTED, depth: 0 });
  }
}
