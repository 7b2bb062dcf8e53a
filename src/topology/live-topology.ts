import type { Address } from "../base/address.ts";
import { coalesce } from "../base/coalesce.ts";
import { Fault } from "../base/fault.ts";
import type { ClusterView, ClusterViewSource } from "./cluster-view.ts";
import { SlotMap } from "./slot-map.ts";
import { SLOT_COUNT, type Slot, type Topology } from "./topology.ts";

/** Why the topology is read. `role` is a Redis of ours that became master or replica; `request` and `peer` are RefreshCluster, sent by a client or passed on by a peer. */
export type RefreshCause = "start" | "interval" | "moved" | "link-lost" | "peer-hash" | "role" | "request" | "peer";

export interface LiveTopologyParts {
  readonly source: ClusterViewSource;
  /**
   * `auto`: reads at each cause. `manual`: reads once at start and then only for RefreshCluster; until the first one the topology
   * is one shard that owns every slot.
   */
  readonly mode: "auto" | "manual";
  /** Time between two readings in auto mode, and between attempts of the first one in both. Unit: ms. */
  readonly intervalMs: number;
  readonly random?: () => number;
  readonly observer: RefreshObserver;
}

/** Told about every reading. */
export interface RefreshObserver {
  /** `cause`: the first one that this reading serves. */
  refreshed(cause: RefreshCause, result: "changed" | "same"): void;
  /** The map stays as it was. */
  refreshFailed(cause: RefreshCause, fault: Fault): void;
}

/** The newest topology, kept new. */
export class LiveTopology {
  readonly #parts: LiveTopologyParts;
  readonly #listeners = new Set<(topology: Topology) => void>();
  readonly #read: () => Promise<Topology>;
  #map: SlotMap | undefined;
  #isAlone: boolean;
  /** A RefreshCluster came that no reading has served yet. */
  #isJoining = false;
  /** Why the next reading takes place. */
  #cause: RefreshCause | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: LiveTopologyParts) {
    this.#parts = parts;
    this.#isAlone = parts.mode === "manual";
    this.#read = coalesce(() => this.#readOnce());
  }

  /** Undefined until Redis has been asked once. */
  current(): Topology | undefined {
    return this.#map;
  }

  /** Calls back after each change until the returned function is called. */
  subscribe(listener: (topology: Topology) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads now and keeps reading. Resolves after the first attempt, whatever came of it. */
  async start(): Promise<void> {
    this.#schedule();
    await this.refresh("start").catch(() => undefined);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  /** Resolves with a map that is not older than this call; rejects with UNAVAILABLE where it cannot be read. */
  refresh(cause: RefreshCause): Promise<Topology> {
    if (cause === "request" || cause === "peer") this.#isJoining = true;
    this.#cause ??= cause;
    return this.#read();
  }

  /** Something happened that the map may not show yet; a manual topology lets it pass. */
  suspect(cause: RefreshCause): void {
    if (this.#parts.mode === "manual" && this.#map) return;
    // The failure was reported, and the interval tries again.
    this.refresh(cause).catch(() => undefined);
  }

  /** Redis answered MOVED: that slot's owner changes at once, and a refresh follows. An empty host means our own Redis's. */
  moved(slot: Slot, owner: Address): void {
    if (this.#parts.mode === "manual") return;
    const map = this.#map;
    const host = owner.host || map?.shards.find(({ id }) => id === map.selfShard)?.address.host;
    const shard = map?.shards.find(({ address }) => address.port === owner.port && address.host === host);
    if (map && shard) this.#adopt(map.withOwner(slot, shard.id));
    this.suspect("moved");
  }

  async #readOnce(): Promise<Topology> {
    const { source, observer } = this.#parts;
    const isJoining = this.#isJoining;
    const cause = this.#cause ?? "interval";
    this.#isJoining = false;
    this.#cause = undefined;
    try {
      const view = await source.read();
      if (isJoining) this.#isAlone = false;
      const before = this.#map;
      const map = this.#adopt(SlotMap.from(this.#isAlone ? alone(view) : view, (before?.version ?? 0) + 1));
      observer.refreshed(cause, map === before ? "same" : "changed");
      return map;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      observer.refreshFailed(cause, fault);
      throw fault;
    }
  }

  #adopt(next: SlotMap): Topology {
    if (this.#map?.equals(next)) return this.#map;
    this.#map = next;
    for (const listener of this.#listeners) listener(next);
    return next;
  }

  /** Not all coordinators at once: each waits between 0.9 and 1.1 times as long. */
  #schedule(): void {
    const { intervalMs, random = Math.random } = this.#parts;
    clearTimeout(this.#timer); // `start` may be called again while Redis has not been reached yet
    this.#timer = setTimeout(
      () => {
        this.suspect("interval");
        this.#schedule();
      },
      intervalMs * (0.9 + 0.2 * random()),
    );
    this.#timer.unref();
  }
}

/** The cluster as a single instance: one shard that owns every slot. */
function alone({ self, selfShard, shards }: ClusterView): ClusterView {
  const own = shards.filter(({ id }) => id === selfShard);
  return { self, selfShard, shards: own.map((shard) => ({ ...shard, slots: [{ start: 0, end: SLOT_COUNT - 1 }] })) };
}
