import { coalesce } from "../base/coalesce.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { Pace } from "../base/pace.ts";
import type { ClusterView, ClusterViewSource } from "./cluster-view.ts";
import { parseRedirection } from "./redirection.ts";
import { SlotMap } from "./slot-map.ts";
import { type Shard, SLOT_COUNT, type Slot, type Topology } from "./topology.ts";

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

/** However many reasons there are to doubt the map, it is read no more often than this for them. Unit: ms. */
const DOUBT_PERIOD_MS = 500;

/** Told about every reading. */
export interface RefreshObserver {
  /** `cause`: the first one that this reading serves. */
  refreshed(cause: RefreshCause, result: "changed" | "same", topology: Topology): void;
  /** The map stays as it was. */
  refreshFailed(cause: RefreshCause, fault: Fault): void;
}

/** What our Redis told last. */
export interface Reading {
  readonly topology: Topology;
  /** When it was asked, on the monotonic clock. Unit: ms. */
  readonly askedAtMs: number;
}

/** The newest topology, kept new. */
export class LiveTopology {
  readonly #parts: LiveTopologyParts;
  readonly #listeners = new Set<(topology: Topology) => void>();
  readonly #read: () => Promise<Topology>;
  #map: SlotMap | undefined;
  #reading: Reading | undefined;
  #isAlone: boolean;
  /** A RefreshCluster came that no reading has served yet. */
  #isJoining = false;
  /** Why the next reading takes place. */
  #cause: RefreshCause | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The first reason to doubt the map since it was read last for one. */
  #doubt: RefreshCause | undefined;
  readonly #doubts = new Pace(DOUBT_PERIOD_MS, () => this.#refreshQuietly(this.#doubt ?? "moved"));

  constructor(parts: LiveTopologyParts) {
    this.#parts = parts;
    this.#isAlone = parts.mode === "manual";
    this.#read = coalesce(() => this.#readOnce());
  }

  /** Undefined until Redis has been asked once. */
  current(): Topology | undefined {
    return this.#map;
  }

  /** Without what MOVED replies taught since: those may be older than it. Undefined until Redis has been asked once. */
  lastReading(): Reading | undefined {
    return this.#reading;
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
    this.#doubts.stop();
    this.#listeners.clear();
  }

  /** Resolves with a map that is not older than this call; rejects with UNAVAILABLE where it cannot be read. */
  refresh(cause: RefreshCause): Promise<Topology> {
    if (cause === "request" || cause === "peer") this.#isJoining = true;
    this.#cause ??= cause;
    return this.#read();
  }

  /** Something happened that the map may not show yet; a manual topology lets it pass. A storm of it costs few readings. */
  suspect(cause: RefreshCause): void {
    if (this.#isFixed) return;
    // A change of role is rare, and calls wait for what it brings.
    if (cause === "role") this.#refreshQuietly(cause);
    else {
      this.#doubt ??= cause;
      this.#doubts.ask();
    }
  }

  /** Our Redis answered with this MOVED: that slot's owner changes at once, and a refresh follows. */
  moved(text: string): void {
    const redirection = parseRedirection(text);
    const shard = this.namedBy(text);
    if (this.#map && redirection?.kind === "moved" && shard)
      this.#adopt(this.#map.withOwner(redirection.slot, shard.id));
  }

  /** Asks our Redis whether the slot is its own, because somebody thinks so whose map may be newer. What it says changes that slot at once. */
  async confirm(slot: Slot): Promise<void> {
    if (this.#isFixed || !this.#map) return;
    const answer = await this.#parts.source.ask(slot);
    if (answer.kind === "moved") this.moved(answer.text);
    else {
      this.#adopt(this.#map.withOwner(slot, this.#map.selfShard, answer.epoch));
      this.suspect("moved");
    }
  }

  /**
   * Whom a MOVED or an ASK names, where the map has it; after a MOVED a refresh follows. A peer's changes nothing else: only Redis says who owns a
   * slot. A manual topology follows nobody.
   */
  namedBy(text: string): Shard | undefined {
    const { kind, target } = parseRedirection(text) ?? {};
    if (this.#isFixed || !target) return undefined;
    if (kind === "moved") this.suspect("moved");
    const map = this.#map;
    // None is named where it is the host of whoever says it: only our own Redis leaves it out.
    const host = target.host || map?.ownShard?.address.host;
    return map?.shards.find(({ address }) => address.port === target.port && address.host === host);
  }

  /** Whether only RefreshCluster changes the map. */
  get #isFixed(): boolean {
    return this.#parts.mode === "manual" && this.#map !== undefined;
  }

  #refreshQuietly(cause: RefreshCause): void {
    this.#doubt = undefined;
    // The failure was reported, and the interval tries again.
    this.refresh(cause).catch(() => undefined);
  }

  async #readOnce(): Promise<Topology> {
    const { source, observer } = this.#parts;
    const isJoining = this.#isJoining;
    const cause = this.#cause ?? "interval";
    this.#isJoining = false;
    this.#cause = undefined;
    try {
      const askedAtMs = monotonicMs();
      const view = await source.read();
      if (isJoining) this.#isAlone = false;
      const before = this.#map;
      const map = this.#adopt(SlotMap.from(this.#isAlone ? alone(view) : view, (before?.version ?? 0) + 1));
      this.#reading = { topology: map, askedAtMs };
      observer.refreshed(cause, map === before ? "same" : "changed", map);
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
        if (!this.#isFixed) this.#refreshQuietly("interval");
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
  return {
    self,
    selfShard,
    replicas: [],
    shards: own.map((shard) => ({ ...shard, slots: [{ start: 0, end: SLOT_COUNT - 1 }] })),
  };
}
