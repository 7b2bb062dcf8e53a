import { NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import type { StoragePeers } from "./storage-ports.ts";
import { nudgeStorageRequest } from "./watch-codec.ts";
import type { WatchInterest } from "./watch-interest.ts";

/** Longest that a nudge may take. Unit: ms. */
const NUDGE_TIMEOUT_MS = 2000;
/** Keys of one nudge: what has changed while the one before was under way. */
const MAX_NAMED = 256;
/** Keys that may wait to be told to one peer; beyond, it is told that it has missed some. */
const MAX_WAITING = 10_000;

export interface StorageNewsParts {
  readonly interest: Pick<WatchInterest, "nodesWith">;
  readonly peers: StoragePeers;
  /** A key may have changed. */
  readonly changed: (key: string) => void;
  /** Keys may have changed, and nobody knows which. */
  readonly doubt: () => void;
}

interface Untold {
  readonly keys: Set<string>;
  isIncomplete: boolean;
}

/** Tells the nodes that watch a key that it may have changed; they read it. News that do not arrive are made up for by the check of who watches: a link that is lost is a reason for one. */
export class StorageNews {
  readonly #parts: StorageNewsParts;
  /** By node id; there while a nudge is under way. */
  readonly #untold = new Map<string, Untold>();

  constructor(parts: StorageNewsParts) {
    this.#parts = parts;
  }

  /** A key may have been written here. */
  spread(key: string): void {
    const { interest, changed } = this.#parts;
    changed(key);
    for (const nodeId of interest.nodesWith(key)) {
      const untold = this.#untold.get(nodeId);
      if (untold) note(untold, key);
      else {
        this.#untold.set(nodeId, { keys: new Set([key]), isIncomplete: false });
        void this.#tell(nodeId);
      }
    }
  }

  /** Takes an encoded NudgeStorageRequest. */
  async fromPeer(body: Uint8Array): Promise<Uint8Array> {
    const { keys, isIncomplete } = decodeRequest(nudgeStorageRequest.decode, body);
    for (const key of keys) this.#parts.changed(key);
    if (isIncomplete) this.#parts.doubt();
    return new Uint8Array();
  }

  /** Until there is nothing to tell any more. */
  async #tell(nodeId: string): Promise<void> {
    for (;;) {
      const untold = this.#untold.get(nodeId);
      const peer = this.#parts.peers.peer(nodeId);
      // Without a link it is told nothing: it looks itself once there is one again.
      if (!untold || !peer || (untold.keys.size === 0 && !untold.isIncomplete)) break;
      const keys = [...untold.keys].slice(0, MAX_NAMED);
      const { isIncomplete } = untold;
      for (const key of keys) untold.keys.delete(key);
      untold.isIncomplete = false;
      const context = { deadline: deadlineIn(NUDGE_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
      try {
        await peer.request("nudge", nudgeStorageRequest.encode({ keys, isIncomplete }), context);
      } catch {
        // It may be overloaded: once it answers again, it is told that it missed something.
        untold.isIncomplete = true;
        untold.keys.clear();
        if (!this.#parts.peers.peer(nodeId)) break;
      }
    }
    this.#untold.delete(nodeId);
  }
}

function note(untold: Untold, key: string): void {
  if (untold.keys.size < MAX_WAITING) untold.keys.add(key);
  else untold.isIncomplete = true;
}
