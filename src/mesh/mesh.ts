import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { FrameStream } from "./frame-stream.ts";
import { IncomingSession } from "./incoming-session.ts";
import { LINK_PHASES, Link, type LinkPhase } from "./link.ts";
import type { LinkParts, MeshParts, PeerAddress } from "./mesh-parts.ts";
import type { Peer } from "./method.ts";
import { NodeNames } from "./node-names.ts";

/**
 * Streams that may be in their handshake at once: they cost memory before anything is proved. One more ends the one that has waited
 * longest: a coordinator proves its token within milliseconds, so a flood of strangers does not keep it out.
 */
const MAX_HANDSHAKES = 256;

/** How a link stands, for people. */
export interface LinkStatus {
  readonly peer: PeerAddress;
  readonly phase: LinkPhase;
  /** Why the last attempt failed or the last session was lost; undefined while open. */
  readonly lastError: Fault | undefined;
  readonly inFlight: number;
}

/** Every link of this coordinator: one outgoing to each peer, for our requests, and one incoming from each, for theirs. */
export class Mesh {
  readonly #parts: LinkParts;
  /** By the peer's node id. */
  readonly #links = new Map<string, Link>();
  /** Links to a peer's former address: they serve until its new one is open. */
  readonly #former = new Map<string, Link>();
  readonly #closing = new Set<Promise<void>>();
  readonly #incoming = new Set<IncomingSession>();
  #closed = false;
  #sentAway: { readonly reason: string; readonly done: Promise<void> } | undefined;
  #idle: (() => void) | undefined;

  constructor(parts: MeshParts) {
    this.#parts = { ...parts, names: new NodeNames() };
  }

  /** Opens links to those that are new, closes those that are gone, and replaces those whose address changed. */
  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map((peer) => [peer.nodeId, peer]));
    for (const [nodeId, link] of this.#links) {
      if (wanted.has(nodeId)) continue;
      this.#links.delete(nodeId);
      this.#retire(link, "the topology has no such shard any more");
      this.#retireFormer(nodeId);
    }
    for (const peer of wanted.values()) {
      const link = this.#links.get(peer.nodeId);
      if (link?.peerAddress.address === peer.address) continue;
      if (link !== undefined) this.#supersede(link);
      this.#open(peer);
    }
  }

  /** Tells every peer our topology and our name now, and not with the next heartbeat. */
  announce(): void {
    for (const link of this.#links.values()) link.ping();
  }

  /** The peer, if its link is open. */
  peer(nodeId: string): Peer | undefined {
    return this.#links.get(nodeId)?.peer ?? this.#former.get(nodeId)?.peer;
  }

  /** Of every coordinator that a link is kept to, whether it is open or not. */
  nodeIds(): Iterable<string> {
    return this.#links.keys();
  }

  /** What that coordinator said last that it goes by; undefined: nothing yet. */
  nodeName(nodeId: string): string | undefined {
    return this.#links.get(nodeId)?.nodeName;
  }

  linkStatus(nodeId: string): LinkStatus | undefined {
    const link = this.#links.get(nodeId);
    return link && { peer: link.peerAddress, phase: link.phase, lastError: link.lastError, inFlight: link.inFlight };
  }

  /** The peer, once its link is open. Rejects with UNAVAILABLE at the deadline, or at once where no link is kept to it. */
  whenLinked(nodeId: string, deadline: Deadline): Promise<Peer> {
    const former = this.#former.get(nodeId)?.peer;
    if (former !== undefined) return Promise.resolve(former);
    const link = this.#links.get(nodeId);
    if (link !== undefined) return link.whenOpen(deadline);
    return Promise.reject(new Fault("UNAVAILABLE", `no link is kept to ${nodeId}: the topology has no such shard`));
  }

  /** Takes a stream that another coordinator opened to us. */
  accept(stream: FrameStream): void {
    if (this.#sentAway !== undefined) {
      stream.close(new Fault("UNAVAILABLE", this.#sentAway.reason));
      return;
    }
    this.#makeRoom();
    const session: IncomingSession = new IncomingSession(this.#parts, stream, () => {
      this.#incoming.delete(session);
      if (this.#incoming.size === 0) this.#idle?.();
    });
    this.#incoming.add(session);
    session.start();
  }

  /** Outgoing links by phase. */
  countLinks(): Readonly<Record<LinkPhase, number>> {
    const counts = Object.fromEntries(LINK_PHASES.map((phase) => [phase, 0])) as Record<LinkPhase, number>;
    for (const { phase } of this.#links.values()) counts[phase]++;
    return counts;
  }

  /** Requests to peers that wait for their answer, and requests of peers that are being worked on. */
  countInFlight(): { readonly outgoing: number; readonly incoming: number } {
    let outgoing = 0;
    let incoming = 0;
    for (const link of [...this.#links.values(), ...this.#former.values()]) outgoing += link.inFlight;
    for (const { running } of this.#incoming) incoming += running;
    return { outgoing, incoming };
  }

  /**
   * Takes no more links of peers and ends theirs once their requests are answered, within a bound. Our own links go on, since what
   * still runs here may need them to end. Idempotent.
   */
  sendAway(reason: string): Promise<void> {
    this.#sentAway ??= { reason, done: this.#drainIncoming(reason) };
    return this.#sentAway.done;
  }

  /** Sends every peer away and ends every link once its requests are answered, within a bound. Idempotent. */
  async close(reason: string): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      for (const nodeId of [...this.#former.keys()]) this.#retireFormer(nodeId);
      for (const link of this.#links.values()) this.#retire(link, reason);
      this.#links.clear();
    }
    await Promise.all([this.sendAway(reason), ...this.#closing]);
  }

  #makeRoom(): void {
    const handshakes = [...this.#incoming].filter(({ open }) => !open);
    if (handshakes.length < MAX_HANDSHAKES) return;
    handshakes[0]?.close(
      new Fault("RESOURCE_EXHAUSTED", `${MAX_HANDSHAKES} later links are in their handshake; try again later`),
    );
  }

  async #drainIncoming(reason: string): Promise<void> {
    const { wheel, settings } = this.#parts;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle = resolve;
    for (const session of this.#incoming) session.goAway(reason);
    if (this.#incoming.size === 0) return;
    const timer = wheel.after(settings.drainTimeoutMs, () => {
      for (const session of this.#incoming) session.close(new Fault("UNAVAILABLE", reason));
    });
    await promise;
    wheel.disarm(timer);
  }

  #open(peer: PeerAddress): void {
    const link = new Link(this.#parts, peer, () => this.#retireFormer(peer.nodeId));
    this.#links.set(peer.nodeId, link);
    link.start();
  }

  #supersede(link: Link): void {
    const { nodeId } = link.peerAddress;
    if (link.peer === undefined) {
      this.#retire(link, "the peer's address changed");
      return;
    }
    this.#retireFormer(nodeId);
    this.#former.set(nodeId, link);
  }

  #retireFormer(nodeId: string): void {
    const former = this.#former.get(nodeId);
    if (former === undefined) return;
    this.#former.delete(nodeId);
    this.#retire(former, "the peer's address changed");
  }

  #retire(link: Link, reason: string): void {
    const closing = link.close(reason).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}
