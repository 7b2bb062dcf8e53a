import { backoffMs } from "../base/backoff.ts";
import type { Deadline } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Timer } from "../base/timer-wheel.ts";
import type { RemoteEnd } from "./handshake.ts";
import { LinkWaiter } from "./link-waiter.ts";
import type { LinkParts, PeerAddress } from "./mesh-parts.ts";
import type { Peer } from "./method.ts";
import { OutgoingSession } from "./outgoing-session.ts";

type State =
  | { readonly at: "idle" }
  /** `attempt` counts the failures in a row before this one. */
  | { readonly at: "connecting"; readonly session: OutgoingSession; readonly attempt: number }
  | { readonly at: "open"; readonly session: OutgoingSession; readonly attempt: number; readonly sinceMs: number }
  /** Until the backoff is over. */
  | { readonly at: "waiting"; readonly timer: Timer; readonly attempt: number }
  /** Closed by us; the last requests are being answered. */
  | { readonly at: "draining" }
  | { readonly at: "closed" };

export const LINK_PHASES = ["idle", "connecting", "handshake", "open", "waiting", "draining", "closed"] as const;
export type LinkPhase = (typeof LINK_PHASES)[number];

export interface LinkEvents {
  /** Each time a session opens. */
  opened(peer: Peer): void;
  /** Each time the peer has said that it goes, or wants another session. */
  sentAway(reason: string): void;
}

/**
 * The link to one peer: keeps a session open, and opens another when that is lost or the peer sends it away. A session that
 * was sent away answers what it has while its successor connects.
 */
export class Link {
  readonly peerAddress: PeerAddress;
  readonly #parts: LinkParts;
  readonly #events: LinkEvents;
  readonly #waiters = new Set<LinkWaiter>();
  /** Sessions that take no new requests. */
  readonly #leaving = new Set<OutgoingSession>();
  readonly #finished = Promise.withResolvers<void>();
  #state: State = { at: "idle" };
  #lastError: Fault | undefined;
  /** The peer, as it was linked last. */
  #remote: RemoteEnd | undefined;
  /** What its process before went by: one that is restarted mostly does again, and has not said so yet. */
  #formerName: string | undefined;

  constructor(parts: LinkParts, peerAddress: PeerAddress, events: LinkEvents) {
    this.#parts = parts;
    this.peerAddress = peerAddress;
    this.#events = events;
  }

  /** Undefined unless open. */
  get peer(): Peer | undefined {
    return this.#state.at === "open" ? this.#state.session.requester : undefined;
  }

  /** The name that the peer said last it goes by; undefined: it has said none yet. */
  get nodeName(): string | undefined {
    return (this.#remote && this.#parts.names.of(this.#remote.runId)) ?? this.#formerName;
  }

  /** The token by which it was opened last. */
  get provenBy(): string | undefined {
    return this.#remote?.provenBy;
  }

  get phase(): LinkPhase {
    return this.#state.at === "connecting" ? this.#state.session.phase : this.#state.at;
  }

  /** Why the last attempt failed or the last session was lost, for people. */
  get lastError(): Fault | undefined {
    return this.#lastError;
  }

  /** Requests that wait for their answer. */
  get inFlight(): number {
    return this.#sessions().reduce((sum, { requester }) => sum + (requester?.inFlight ?? 0), 0);
  }

  /** Of requests that wait to be sent. */
  get waitingBytes(): number {
    return this.#sessions().reduce((sum, { requester }) => sum + (requester?.waitingBytes ?? 0), 0);
  }

  /** Sends a heartbeat at once, where the link is open. */
  ping(): void {
    if (this.#state.at === "open") this.#state.session.ping();
  }

  start(): void {
    if (this.#state.at === "idle") this.#connect(0);
  }

  /** The peer has shown that it is there: the next attempt waits no longer. */
  hurry(): void {
    const state = this.#state;
    if (state.at !== "waiting") return;
    this.#parts.wheel.disarm(state.timer);
    this.#connect(state.attempt);
  }

  /** Resolves once the link is open; rejects with UNAVAILABLE at the deadline or when the link is closed. */
  whenOpen(deadline: Deadline): Promise<Peer> {
    const { peer } = this;
    if (peer !== undefined) return Promise.resolve(peer);
    if (this.#isClosed()) return Promise.reject(this.#unavailable());
    const waiter = new LinkWaiter(() => {
      this.#waiters.delete(waiter);
      waiter.reject(this.#unavailable());
    });
    this.#waiters.add(waiter);
    this.#parts.wheel.arm(waiter, deadline);
    return waiter.promise;
  }

  /** Takes no new requests and closes once those in flight are answered, within `withinMs`. Resolves then. Once more, it may be told to take less time. */
  close(reason: string, withinMs = this.#parts.settings.drainTimeoutMs): Promise<void> {
    if (this.#isClosed()) {
      for (const session of this.#leaving) session.retire(reason, withinMs);
      return this.#finished.promise;
    }
    const state = this.#state;
    this.#state = { at: "draining" };
    if (state.at === "waiting") this.#parts.wheel.disarm(state.timer);
    if ("session" in state) this.#leaving.add(state.session);
    this.#settleWaiters((waiter) => waiter.reject(this.#unavailable()));
    for (const session of this.#leaving) session.retire(reason, withinMs);
    this.#finishIfDrained();
    return this.#finished.promise;
  }

  #isClosed(): boolean {
    return this.#state.at === "draining" || this.#state.at === "closed";
  }

  #sessions(): readonly OutgoingSession[] {
    return "session" in this.#state ? [this.#state.session, ...this.#leaving] : [...this.#leaving];
  }

  #connect(attempt: number): void {
    const { transport } = this.#parts;
    const stream = transport.connect(this.peerAddress.address);
    const session: OutgoingSession = new OutgoingSession(this.#parts, this.peerAddress, stream, {
      opened: (remote) => this.#sessionOpened(session, attempt, remote),
      goingAway: (reason) => this.#replace(session, reason),
      ended: (fault) => this.#sessionEnded(session, fault),
    });
    this.#state = { at: "connecting", session, attempt };
    session.start();
  }

  #sessionOpened(session: OutgoingSession, attempt: number, remote: RemoteEnd): void {
    const { wheel, observer } = this.#parts;
    this.#state = { at: "open", session, attempt, sinceMs: wheel.now() };
    this.#lastError = undefined;
    this.#formerName = this.nodeName;
    this.#remote = remote;
    observer.linkOpened(this.peerAddress, remote);
    const { requester } = session;
    if (requester === undefined) return;
    this.#events.opened(requester);
    this.#settleWaiters((waiter) => waiter.resolve(requester));
  }

  #sessionEnded(session: OutgoingSession, fault: Fault): void {
    const { observer } = this.#parts;
    if (this.#leaving.delete(session)) {
      this.#finishIfDrained();
      return;
    }
    this.#lastError = fault;
    const state = this.#state;
    if (state.at === "connecting") {
      this.#retry(state.attempt);
      observer.linkFailed(this.peerAddress, fault);
    } else if (state.at === "open") {
      this.#retry(this.#nextAttempt(state));
      observer.linkLost(this.peerAddress, fault);
    }
  }

  /** A peer that sends every session away at once is tried no faster than one that cannot be reached. */
  #replace(session: OutgoingSession, reason: string): void {
    const state = this.#state;
    if (state.at !== "open" || state.session !== session) return;
    this.#leaving.add(session);
    const attempt = this.#nextAttempt(state);
    if (attempt === 0) this.#connect(0);
    else this.#retry(attempt);
    this.#events.sentAway(reason);
  }

  /** A session that was open for a while proves that the peer is well: the count of failures starts anew. */
  #nextAttempt({ attempt, sinceMs }: State & { at: "open" }): number {
    const { wheel, settings } = this.#parts;
    return wheel.now() - sinceMs >= settings.reconnect.maxMs ? 0 : attempt + 1;
  }

  #retry(attempt: number): void {
    const { wheel, settings } = this.#parts;
    const waitMs = backoffMs(attempt, settings.reconnect);
    const next = attempt + 1;
    this.#state = { at: "waiting", timer: wheel.after(waitMs, () => this.#connect(next)), attempt: next };
  }

  #finishIfDrained(): void {
    if (this.#state.at !== "draining" || this.#leaving.size > 0) return;
    this.#state = { at: "closed" };
    this.#finished.resolve();
  }

  #settleWaiters(settle: (waiter: LinkWaiter) => void): void {
    for (const waiter of this.#waiters) {
      this.#parts.wheel.disarm(waiter);
      settle(waiter);
    }
    this.#waiters.clear();
  }

  #unavailable(): Fault {
    const { nodeId, address } = this.peerAddress;
    const why = this.#isClosed() ? "it was closed" : (this.#lastError?.message ?? "it is still connecting");
    return new Fault("UNAVAILABLE", `no link to ${nodeId} at ${address}: ${why}`);
  }
}
