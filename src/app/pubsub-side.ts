import type { Mesh } from "../mesh/mesh.ts";
import type { MeshObserver } from "../mesh/mesh-parts.ts";
import { METHOD, type Method, type Peer } from "../mesh/method.ts";
import { PubSub } from "../pubsub/pubsub.ts";
import type { PubSubParts, PubSubPeer, PubSubRequest } from "../pubsub/pubsub-parts.ts";
import type { Settings } from "./config/settings.ts";

const MIB = 1024 * 1024;
/** Of one subscriber. docs/SETTINGS.md names it, too. */
const MAX_QUEUE_BYTES = 4 * MIB;
/** Of all subscribers of a node. */
const MAX_QUEUED_BYTES = 256 * MIB;
/** On one node. */
const MAX_SUBSCRIPTIONS = 10_000;

const METHOD_OF: Record<PubSubRequest, Method> = {
  deliverPublished: METHOD.DELIVER_PUBLISHED,
  syncInterest: METHOD.SYNC_INTEREST,
};

export interface PubSubSideParts extends Pick<PubSubParts, "runId" | "nodeName" | "wheel" | "observer"> {
  /** Asked once a link has opened, or something is published: it is put together after this. */
  readonly mesh: () => Mesh;
}

/** Pub/sub over the mesh. What is published may take half of a link, so that it never keeps calls from theirs. */
export function createPubSub(settings: Settings, { mesh, ...parts }: PubSubSideParts): PubSub {
  /** By link: pub/sub tells links apart by them. */
  const peers = new WeakMap<Peer, PubSubPeer>();
  const peerOf = (link: Peer): PubSubPeer => {
    const known = peers.get(link);
    if (known) return known;
    const peer: PubSubPeer = { request: (what, body, context) => link.request(METHOD_OF[what], body, context) };
    peers.set(link, peer);
    return peer;
  };
  return new PubSub({
    ...parts,
    peer(nodeId) {
      const link = mesh().peer(nodeId);
      return link && peerOf(link);
    },
    limits: {
      queue: { maxMessages: settings.subscriberQueueMessages, maxBytes: MAX_QUEUE_BYTES },
      maxQueuedBytes: MAX_QUEUED_BYTES,
      maxSubscriptions: MAX_SUBSCRIPTIONS,
      maxPublishing: Math.ceil(settings.linkMaxInFlight / 2),
      maxPublishingBytes: settings.linkMaxInFlightBytes / 2,
      maxMessageBytes: settings.maxMessageBytes,
    },
  });
}

/** The mesh's observer, which tells pub/sub, too, which links are open. */
export function toldToPubSub(observer: MeshObserver, pubSub: PubSub): MeshObserver {
  return {
    ...observer,
    linkOpened(peer, remote) {
      observer.linkOpened(peer, remote);
      pubSub.linkOpened(peer.nodeId, remote.runId);
    },
    inboundOpened(remote, remoteAddress) {
      observer.inboundOpened(remote, remoteAddress);
      pubSub.peerLinked(remote.runId);
    },
    inboundClosed(remote, fault) {
      observer.inboundClosed(remote, fault);
      pubSub.peerUnlinked(remote.runId);
    },
  };
}
