import { NEVER_ABORTED } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import type { StoragePeers } from "./storage-ports.ts";
import { shareWatchesRequest } from "./watch-codec.ts";
import { WatchedRanges } from "./watched-range.ts";

/** How often it is seen whether there is something to tell. Unit: ms. */
const LOOK_PERIOD_MS = 100;
/** How often nodes tell each other what is watched there, changed or not. Unit: ms. */
const SHARE_PERIOD_MS = 1000;
/** Longest that a peer may take for it. Unit: ms. */
const SHARE_TIMEOUT_MS = 1000;
/** A node that was not heard of for so long is told nothing any more. Unit: ms. */
const FORGET_MS = 10_000;
/** Keys and prefixes that are named; of a node that watches more, all changes are told. */
const MAX_NAMED = 256;

export interface WatchInterestParts {
  readonly ranges: () => WatchedRanges;
  readonly nodeId: () => string | undefined;
  readonly peers: StoragePeers;
  readonly clock: Clock;
  /** A peer may have written meanwhile without telling, since it did not know. */
  readonly doubt: () => void;
}

interface PeerInterest {
  readonly ranges: WatchedRanges;
  readonly heardAtMs: number;
}

/** What is watched on which node, so that those alone are told of a change that watch it. */
export class WatchInterest {
  readonly #parts: WatchInterestParts;
  /** By node id; those alone that watch something. */
  readonly #peers = new Map<string, PeerInterest>();
  /** Peers that know what is watched here, as far as is known. */
  #informed: ReadonlySet<string> = new Set();
  #shared: WatchedRanges | undefined;
  #sharedAtMs = Number.NEGATIVE_INFINITY;
  #stop: (() => void) | undefined;

  constructor(parts: WatchInterestParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock } = this.#parts;
    this.#stop = clock.every(LOOK_PERIOD_MS, () => {
      if (this.#isDue()) void this.share();
    });
  }

  stop(): void {
    this.#stop?.();
  }

  /** Nodes that watch a key. */
  *nodesWith(key: string): Generator<string> {
    const oldestMs = this.#parts.clock.now() - FORGET_MS;
    for (const [nodeId, { ranges, heardAtMs }] of this.#peers) {
      if (heardAtMs < oldestMs) this.#peers.delete(nodeId);
      else if (ranges.has(key)) yield nodeId;
    }
  }

  /** Tells every peer what is watched here. Resolves once they have answered, or the time for it is over; never rejects. */
  async share(): Promise<void> {
    const { ranges, nodeId, peers, clock, doubt } = this.#parts;
    const shared = ranges();
    this.#shared = shared;
    this.#sharedAtMs = clock.now();
    const body = shareWatchesRequest.encode({ nodeId: nodeId() ?? "", ...named(shared) });
    const context = { deadline: deadlineIn(SHARE_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
    const informed = new Set<string>();
    const linked = [...peers.linked()].map(async ([id, peer]) => {
      // One that is away is told when it is back; an older one writes nothing that is watched.
      const isTold = await peer.request("shareWatches", body, context).then(
        () => true,
        () => false,
      );
      if (isTold) informed.add(id);
    });
    await Promise.all(linked);
    if (!shared.isEmpty && !informed.isSubsetOf(this.#informed)) doubt();
    this.#informed = informed;
  }

  /** Takes an encoded ShareStorageWatchesRequest. */
  async fromPeer(body: Uint8Array): Promise<Uint8Array> {
    const { nodeId, keys, prefixes } = decodeRequest(shareWatchesRequest.decode, body);
    const ranges = new WatchedRanges(keys, prefixes);
    if (ranges.isEmpty) this.#peers.delete(nodeId);
    else this.#peers.set(nodeId, { ranges, heardAtMs: this.#parts.clock.now() });
    return new Uint8Array();
  }

  /** Of nothing nobody needs to be told again. */
  #isDue(): boolean {
    const ranges = this.#parts.ranges();
    if (ranges !== this.#shared) return this.#shared !== undefined || !ranges.isEmpty;
    return !ranges.isEmpty && this.#parts.clock.now() - this.#sharedAtMs >= SHARE_PERIOD_MS;
  }
}

function named({ keys, prefixes }: WatchedRanges): { readonly keys: string[]; readonly prefixes: string[] } {
  if (keys.size + prefixes.size > MAX_NAMED) return { keys: [], prefixes: [""] };
  return { keys: [...keys], prefixes: [...prefixes] };
}
