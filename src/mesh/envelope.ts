import type { RequestIdentity } from "../base/request-identity.ts";

/**
 * What travels on a stream, one type for each kind of `gearmesh.v1.Envelope`; a Response that carries a fault is a kind
 * of its own here. Bodies and results stay encoded: the mesh is the same for every method.
 */
export type Envelope =
  | RequestEnvelope
  | ResponseEnvelope
  | FaultEnvelope
  | CancelEnvelope
  | PingEnvelope
  | PongEnvelope
  | GoAwayEnvelope
  | HelloEnvelope
  | ChallengeEnvelope
  | ProofEnvelope
  | DeliveryEnvelope
  | ReceivedEnvelope;

export interface RequestEnvelope {
  readonly kind: "request";
  readonly id: number;
  /** Time that is left. Unit: ms. 0: the receiver's default. */
  readonly timeoutMs: number;
  readonly depth: number;
  /** See CallContext. */
  readonly identity?: RequestIdentity | undefined;
  /** See CallContext. */
  readonly isAdmin?: boolean | undefined;
  /** Number of the body's field; 0 where the request has no body, which no method answers to. */
  readonly method: number;
  readonly body: Uint8Array;
}

export interface ResponseEnvelope {
  readonly kind: "response";
  readonly id: number;
  /** The request's method. */
  readonly method: number;
  readonly result: Uint8Array;
}

export interface FaultEnvelope {
  readonly kind: "fault";
  readonly id: number;
  /** A fault code, perhaps of a newer release. */
  readonly code: string;
  readonly message: string;
}

export interface CancelEnvelope {
  readonly kind: "cancel";
  readonly id: number;
}

export interface PingEnvelope {
  readonly kind: "ping";
  readonly nonce: number;
  readonly topologyHash: string;
  /** Config epoch of the sender's shard. */
  readonly epoch: number;
  /** Of the sender, as it is now; empty from clients. */
  readonly nodeName: string;
}

export interface PongEnvelope {
  readonly kind: "pong";
  readonly nonce: number;
  readonly topologyHash: string;
  /** An encoded `gearmesh.v1.OwnershipConfirmation`; empty where there is nothing to confirm. */
  readonly confirmation: Uint8Array;
  /** Of the sender, as it is now; empty to clients. */
  readonly nodeName: string;
}

export interface GoAwayEnvelope {
  readonly kind: "goAway";
  readonly reason: string;
}

export interface HelloEnvelope {
  readonly kind: "hello";
  readonly version: number;
  readonly oldestVersion: number;
  readonly namespace: string;
  readonly nodeId: string;
  readonly runId: string;
  /** Empty: whichever node is there. */
  readonly expectedNodeId: string;
  readonly nonce: Uint8Array;
  readonly topologyHash: string;
}

export interface ChallengeEnvelope {
  readonly kind: "challenge";
  readonly version: number;
  readonly nodeId: string;
  readonly runId: string;
  readonly nonce: Uint8Array;
  readonly topologyHash: string;
}

export interface ProofEnvelope {
  readonly kind: "proof";
  readonly macs: readonly Uint8Array[];
}

export interface DeliveryEnvelope {
  readonly kind: "delivery";
  /** An encoded `gearmesh.v1.Delivery`. */
  readonly delivery: Uint8Array;
}

export interface ReceivedEnvelope {
  readonly kind: "received";
  readonly sequence: number;
}
