import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { type Deadline, deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { AbsentPeers } from "./absent-peers.ts";
import type { FrameStream } from "./frame-stream.ts";
import type { RemoteEnd } from "./handshake.ts";
import { IncomingSession } from "./incoming-session.ts";
import { LINK_PHASES, Link, type LinkPhase } from "./link.ts";
import type { LinkParts, MeshParts, PeerAddress } from "./mesh-parts.ts";
import { METHOD, type Peer } from "./method.ts";
import { NodeNames } from "./node-names.ts";

/**
 * Streams that may be in their handshake at once: they cost memory before anything is proved. One more ends the one that has waited
 * longest: a coordinator proves its token within milliseconds, so a flood of strangers does not keep it out.
 */
const MAX_HANDSHAKES = 256;

const NOTHING = new Uint8Array();

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
  /** Links that take no new requests, and when they are over. */
  readonly #closing = new Map<Link, Promise<void>>();
  readonly #incoming = new Set<IncomingSession>();
  readonly #absent: AbsentPeers;
  /** By which token, newer than that of our own link to it, a peer has linked to us, and ours was replaced for it. Once: where the two differ about which is newer, there would be no end to it. */
  readonly #caughtUp = new Map<string, string>();
  #closed = false;
  #sentAway: { readonly reason: string; readonly done: Promise<void> } | undefined;
  #idle: (() => void) | undefined;

  constructor(parts: MeshParts) {
    this.#parts = { ...parts, names: new NodeNames() };
    const { wheel, settings } = parts;
    this.#absent = new AbsentPeers({
      wheel,
      returnMs: settings.peerReturnMs,
      maxWaiting: settings.limits.maxInFlight,
    });
  }

  /** Opens links to those that are new, closes those that are gone, and replaces those whose address changed. */
  setPeers(peers: readonly PeerAddress[]): void {
    if (this.#closed) return;
    const wanted = new Map(peers.map((peer) => [peer.nodeId, peer]));
    for (const [nodeId, link] of this.#links) {
      if (wanted.has(nodeId)) continue;
      const reason = "the topology has no such shard any more";
      this.#links.delete(nodeId);
      this.#caughtUp.delete(nodeId);
      this.#absent.forget(nodeId, reason);
      this.#retire(link, reason);
      this.#retireFormer(nodeId);
    }
    for (const peer of wanted.values()) {
      const link = this.#links.get(peer.nodeId);
      if (link?.peerAddress.address === peer.address) continue;
      if (link !== undefined) this.#supersede(link, "the peer's address changed");
      this.#open(peer);
    }
  }

  /**
   * Replaces every link by another one, which must prove itself anew; each serves until its successor is open. Links of peers that were proved by a token which is valid no longer end
   * once those had the time to do the same.
   */
  renewLinks(reason: string): void {
    if (this.#closed) return;
    this.#caughtUp.clear();
    for (const link of [...this.#links.values()]) this.#renew(link, reason);
    const { wheel, settings } = this.#parts;
    wheel.after(settings.handshakeTimeoutMs, () => this.#expelUnproven(reason));
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
    return Promise.reject(notKept(nodeId));
  }

  /** The peer, if its link is open, and it is not one that has come back and does not serve yet. */
  servingPeer(nodeId: string): Peer | undefined {
    return this.isAway(nodeId) ? undefined : this.peer(nodeId);
  }

  /** The same, once it serves, where it has said that it goes: a coordinator that is restarted is back within seconds. Rejects as `AbsentPeers.whenBack` does. */
  async whenBack(nodeId: string, context: CallContext): Promise<Peer> {
    const link = this.#links.get(nodeId);
    if (!link) throw notKept(nodeId);
    return this.servingPeer(nodeId) ?? this.#absent.whenBack(link.peerAddress, context);
  }

  /** Whether the peer has said that it goes, and does not serve again yet. */
  isAway(nodeId: string): boolean {
    return this.#absent.isExpected(nodeId);
  }

  /** Takes a stream that another coordinator opened to us. */
  accept(stream: FrameStream): void {
    if (this.#sentAway !== undefined) {
      stream.close(new Fault("UNAVAILABLE", this.#sentAway.reason));
      return;
    }
    this.#makeRoom();
    const session: IncomingSession = new IncomingSession(this.#parts, stream, {
      proven: (remote) => {
        this.#links.get(remote.nodeId)?.hurry();
        this.#catchUp(remote);
      },
      ended: () => {
        this.#incoming.delete(session);
        if (this.#incoming.size === 0) this.#idle?.();
      },
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

  /** Of requests to peers that wait to be sent. */
  countWaitingBytes(): number {
    return [...this.#links.values(), ...this.#former.values()].reduce((sum, { waitingBytes }) => sum + waitingBytes, 0);
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
      this.#absent.close(reason);
      for (const nodeId of [...this.#former.keys()]) this.#retireFormer(nodeId);
      for (const link of this.#links.values()) this.#retire(link, reason);
      this.#links.clear();
      // Also those that were replaced, and would have had more time.
      for (const link of this.#closing.keys()) void link.close(reason);
    }
    await Promise.all([this.sendAway(reason), ...this.#closing.values()]);
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
    const { nodeId } = peer;
    const link = new Link(this.#parts, peer, {
      opened: (opened) => {
        this.#retireFormer(nodeId);
        if (this.#absent.isExpected(nodeId)) void this.#welcome(nodeId, opened);
      },
      sentAway: (reason) => {
        if (this.peer(nodeId) === undefined) this.#absent.left(nodeId, reason);
      },
    });
    this.#links.set(nodeId, link);
    link.start();
  }

  /** It has come back: what waits for it is sent once it serves. Never rejects. */
  async #welcome(nodeId: string, peer: Peer): Promise<void> {
    const { wheel, settings } = this.#parts;
    const deadline = deadlineIn(settings.peerReturnMs, wheel.now());
    try {
      await peer.request(METHOD.AWAIT_SERVING, NOTHING, { deadline, signal: NEVER_ABORTED, depth: 0 });
    } catch (thrown) {
      // One of an older release cannot say. Otherwise its next link asks again.
      if (Fault.from(thrown).code !== "UNIMPLEMENTED") return;
    }
    if (this.peer(nodeId) === peer) this.#absent.returned(nodeId, peer);
  }

  #renew(link: Link, reason: string): void {
    this.#supersede(link, reason);
    this.#open(link.peerAddress);
  }

  /** A peer has linked to us by a token that is newer than that of our link to it: it has learnt it meanwhile, so ours can go by it, too, before the other one is valid no longer. */
  #catchUp({ nodeId, provenBy }: RemoteEnd): void {
    const link = this.#links.get(nodeId);
    if (this.#closed || link?.peer === undefined || link.provenBy === provenBy) return;
    const tokens = this.#parts.tokens();
    const isNewer = tokens.indexOf(provenBy) < ageOf(tokens, link.provenBy);
    if (!tokens.includes(provenBy) || !isNewer || this.#caughtUp.get(nodeId) === provenBy) return;
    this.#caughtUp.set(nodeId, provenBy);
    this.#renew(link, "the peer knows a newer token");
  }

  #expelUnproven(reason: string): void {
    const { wheel, settings, tokens } = this.#parts;
    const valid = tokens();
    for (const session of this.#incoming) {
      if (session.provenBy === undefined || valid.includes(session.provenBy)) continue;
      session.goAway(reason);
      wheel.after(settings.drainTimeoutMs, () => session.close(new Fault("UNAVAILABLE", reason)));
    }
  }

  #supersede(link: Link, reason: string): void {
    const { nodeId } = link.peerAddress;
    if (link.peer === undefined) {
      this.#retire(link, reason);
      return;
    }
    this.#retireFormer(nodeId);
    this.#former.set(nodeId, link);
  }

  #retireFormer(nodeId: string): void {
    const former = this.#former.get(nodeId);
    if (former === undefined) return;
    this.#former.delete(nodeId);
    this.#retire(former, "another link to the peer has taken its place", this.#parts.settings.replacedTimeoutMs);
  }

  #retire(link: Link, reason: string, withinMs = this.#parts.settings.drainTimeoutMs): void {
    const closed = link.close(reason, withinMs).finally(() => this.#closing.delete(link));
    this.#closing.set(link, closed);
  }
}

function notKept(nodeId: string): Fault {
  return new Fault("UNAVAILABLE", `no link is kept to ${nodeId}: the topology has no such shard`);
}

/** Greater than that of any that is valid where it is none of those. */
function ageOf(tokens: readonly string[], token: string | undefined): number {
  const index = token === undefined ? -1 : tokens.indexOf(token);
  return index < 0 ? tokens.length : index;
}
