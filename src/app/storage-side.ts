import { systemClock } from "../base/clock.ts";
import type { StreamAnswer } from "../grpc/server-stream.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { MeshObserver } from "../mesh/mesh-parts.ts";
import { type Handler, METHOD, type Method } from "../mesh/method.ts";
import type { LeaseStore } from "../storage/lease-store.ts";
import { observedRequest, observedResponses } from "../storage/observed-requests.ts";
import { createStorageNode, type StorageNode } from "../storage/storage-node.ts";
import type { StorageObserver } from "../storage/storage-observer.ts";
import type { StorageNewsKind, StoragePeer, StoragePeers } from "../storage/storage-ports.ts";
import {
  listResponses,
  type StorageHandler,
  type StorageMethod,
  storageRequests,
} from "../storage/storage-requests.ts";
import type { StorageStore } from "../storage/storage-store.ts";
import { watchResponses } from "../storage/watch-responses.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Settings } from "./config/settings.ts";
import { LogThrottle } from "./log-throttle.ts";

/** What comes with a value in a message, at most: the key above all. */
const ENTRY_BYTES = 4096;
/** Time between two lines about what could not be done. Unit: ms. */
const FAILURE_PERIOD_MS = 10_000;

/** Bytes of changes that wait for one watcher. */
const MAX_WATCH_BYTES = 4 * 1024 * 1024;

const METHOD_OF: Record<StorageNewsKind, Method> = {
  shareWatches: METHOD.SHARE_STORAGE_WATCHES,
  nudge: METHOD.NUDGE_STORAGE,
};

export interface StorageSideParts {
  readonly store: StorageStore;
  readonly leaseStore: LeaseStore;
  readonly nodeId: () => string | undefined;
  readonly mesh: () => Pick<Mesh, "peer" | "nodeIds">;
  readonly observer: StorageObserver;
  readonly logger: Logger;
}

/** The storage, with everything around it. */
export interface StorageSide {
  readonly node: StorageNode;
  /** The unary methods of StorageService. */
  readonly requests: Readonly<Record<StorageMethod, StorageHandler>>;
  /** The same, for the streams of clients. */
  readonly clientHandlers: readonly [Method, Handler][];
  readonly list: StreamAnswer;
  readonly watch: StreamAnswer;
  /** What other coordinators may ask. */
  readonly peerHandlers: readonly [Method, Handler][];
  start(): void;
  /** Ends every watch. */
  close(reason: string): void;
}

export function createStorageSide(settings: Settings, parts: StorageSideParts): StorageSide {
  const { store, mesh, observer, logger } = parts;
  const { storageMaxValueBytes, maxMessageBytes, storageWatchQueueChanges } = settings;
  const throttle = new LogThrottle({ periodMs: FAILURE_PERIOD_MS });
  const node = createStorageNode({
    ...parts,
    clock: systemClock,
    maxValueBytes: Math.min(storageMaxValueBytes, maxMessageBytes - ENTRY_BYTES),
    maxListedKeys: settings.storageMaxListedKeys,
    maxWatchedKeys: settings.storageMaxWatchedKeys,
    watchLimits: { maxChanges: storageWatchQueueChanges, maxBytes: MAX_WATCH_BYTES },
    watchCheckMs: settings.storageWatchCheckMs,
    peers: storagePeers(mesh),
    failed(error) {
      const repeats = throttle.pass("storage");
      if (repeats !== undefined)
        logger.warn(
          { error, repeats },
          "the storage could not be looked at, for leases that are over or for its watchers; that is tried again",
        );
    },
  });
  const plain = storageRequests(node.storage, node.leases);
  const request = (method: StorageMethod): StorageHandler => observedRequest(method, plain[method], observer);
  const requests: Record<StorageMethod, StorageHandler> = {
    Get: request("Get"),
    Put: request("Put"),
    CompareAndSet: request("CompareAndSet"),
    Delete: request("Delete"),
    GrantLease: request("GrantLease"),
    RenewLease: request("RenewLease"),
    RevokeLease: request("RevokeLease"),
    GetLease: request("GetLease"),
  };
  return {
    node,
    requests,
    clientHandlers: [
      [METHOD.STORAGE_GET, requests.Get],
      [METHOD.STORAGE_PUT, requests.Put],
      [METHOD.COMPARE_AND_SET, requests.CompareAndSet],
      [METHOD.STORAGE_DELETE, requests.Delete],
      [METHOD.GRANT_LEASE, requests.GrantLease],
      [METHOD.RENEW_LEASE, requests.RenewLease],
      [METHOD.REVOKE_LEASE, requests.RevokeLease],
      [METHOD.GET_LEASE, requests.GetLease],
    ],
    list: (body, context) => observedResponses("List", listResponses(node.listing, body), context, observer),
    watch: (body, context) => {
      const { watches, states, interest } = node;
      return watchResponses({ watches, listing: states, store, announced: () => interest.share() }, body, context);
    },
    peerHandlers: [
      [METHOD.SHARE_STORAGE_WATCHES, (body) => node.interest.fromPeer(body)],
      [METHOD.NUDGE_STORAGE, (body) => node.news.fromPeer(body)],
    ],
    start() {
      node.sweep.start();
      node.interest.start();
      node.check.start();
    },
    close(reason) {
      node.sweep.stop();
      node.check.stop();
      node.watches.close(reason);
      node.interest.stop();
    },
  };
}

function storagePeers(mesh: StorageSideParts["mesh"]): StoragePeers {
  const peer = (nodeId: string): StoragePeer | undefined => {
    const linked = mesh().peer(nodeId);
    return linked && { request: (what, body, context) => linked.request(METHOD_OF[what], body, context) };
  };
  return {
    peer,
    *linked() {
      for (const nodeId of mesh().nodeIds()) {
        const linked = peer(nodeId);
        if (linked) yield [nodeId, linked];
      }
    },
  };
}

/** The mesh's observer, which has watchers look again, too, where news may have been lost with a link. */
export function toldToStorage(observer: MeshObserver, { node }: StorageSide): MeshObserver {
  return {
    ...observer,
    inboundOpened(remote, remoteAddress) {
      observer.inboundOpened(remote, remoteAddress);
      node.check.doubt();
    },
    inboundClosed(remote, fault) {
      observer.inboundClosed(remote, fault);
      node.check.doubt();
    },
  };
}
