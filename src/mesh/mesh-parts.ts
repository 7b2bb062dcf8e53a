import type { BackoffLimits } from "../base/backoff.ts";
import type { Fault, FaultCode } from "../base/fault.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import type { FrameStream, MeshTransport } from "./frame-stream.ts";
import type { LinkIdentity, RemoteEnd } from "./handshake.ts";
import type { StreamLimits } from "./limits.ts";
import type { Handlers } from "./method.ts";
import type { NodeNames } from "./node-names.ts";

/** What the mesh is made of: the composition root hands it over. */
export interface MeshParts {
  readonly self: LinkIdentity;
  /** What this coordinator goes by now. For people: peers are told it with the heartbeats, and nothing is decided by it. */
  readonly nodeName: () => string;
  /** Asked at each handshake, so that a token can be replaced while links are open. One at least, the newest first. */
  readonly tokens: () => readonly string[];
  readonly topology: TopologyNews;
  readonly handlers: Handlers;
  readonly transport: MeshTransport;
  readonly wheel: TimerWheel;
  readonly settings: MeshSettings;
  readonly observer: MeshObserver;
  /** See ResponderParts. */
  readonly scope?: RequestScope;
  readonly spans?: Spans;
  /** Cryptographically strong. */
  readonly randomBytes: (size: number) => Uint8Array;
}

/** What links carry of the topology. The mesh itself only sees whether two hashes differ. */
export interface TopologyNews {
  /** Of our map now. */
  hash(): string;
  /** Our shard's config epoch by it. */
  epoch(): number;
  /** What a pong says of what a peer claims in its ping: an encoded `gearmesh.v1.OwnershipConfirmation`. */
  confirm(claim: { readonly nodeId: string; readonly epoch: number; readonly topologyHash: string }): Uint8Array;
  /** The same, of what our ping claimed that left at `askedAtMs`, on the monotonic clock. Throws a WireError where it is malformed. */
  confirmed(nodeId: string, askedAtMs: number, confirmation: Uint8Array): void;
}

/** What every link of one mesh has. */
export interface LinkParts extends MeshParts {
  readonly names: NodeNames;
}

export interface MeshSettings {
  /** Time between two heartbeats; a link that misses three is lost. Unit: ms. Default: 1000. */
  readonly heartbeatMs: number;
  /** Longest that connecting and proving the token may take. Unit: ms. Default: 5000. */
  readonly handshakeTimeoutMs: number;
  /** Longest that a link which closes as planned waits for its requests. Unit: ms. Default: 10,000. */
  readonly drainTimeoutMs: number;
  /** Longest that a link whose successor is open waits for its requests: none of them may take longer. Unit: ms. Default: 5 min. */
  readonly replacedTimeoutMs: number;
  /** How long requests wait for a peer that has said that it goes, from then on. Unit: ms. Default: 30,000. */
  readonly peerReturnMs: number;
  /** Waits between attempts to link. Default: 50 ms up to 1 s. */
  readonly reconnect: BackoffLimits;
  readonly limits: StreamLimits;
  /** Time for a peer's request that names none. Unit: ms. Default: 10,000. */
  readonly requestTimeoutMs: number;
}

/** Another coordinator: the Redis node it stands beside and where it listens. */
export interface PeerAddress {
  readonly nodeId: string;
  readonly address: string;
}

/** Told what happens, for the log, the metrics and whoever keeps the topology. Must not throw. */
export interface MeshObserver {
  linkOpened(peer: PeerAddress, remote: RemoteEnd): void;
  /** An open link was lost. It is tried again. */
  linkLost(peer: PeerAddress, fault: Fault): void;
  /** An attempt to link failed; UNAUTHENTICATED where one end refused the other. It is tried again. */
  linkFailed(peer: PeerAddress, fault: Fault): void;
  /** Somebody tried to prove a token to us that is none of ours; `inboundRefused` follows. */
  proofRefused(remoteAddress: FrameStream["remoteAddress"]): void;
  /** Somebody's attempt to link to us was refused, or did not get through the handshake. */
  inboundRefused(remoteAddress: FrameStream["remoteAddress"], fault: Fault): void;
  inboundOpened(remote: RemoteEnd, remoteAddress: string): void;
  inboundClosed(remote: RemoteEnd, fault: Fault): void;
  /** A peer's topology is another than ours: one of the two should ask its Redis. Told at every heartbeat that shows it. */
  topologyDiffers(nodeId: string, hash: string): void;
  /** A handler failed in a way that its caller sees as INTERNAL only. */
  handlerFailed(method: number, cause: unknown): void;
  /** A peer's request was answered, or its answer is owed no more. */
  settled(method: number, code: FaultCode | "OK", tookMs: number): void;
  /** A heartbeat came back. */
  beat(peer: PeerAddress, roundTripMs: number): void;
}
