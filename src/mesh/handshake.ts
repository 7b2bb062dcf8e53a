import { Fault } from "../base/fault.ts";
import type { ChallengeEnvelope, Envelope, HelloEnvelope, ProofEnvelope } from "./envelope.ts";
import { type Party, proofOf, type Transcript, tokenOfProof } from "./proof.ts";
import { commonVersion, OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION, type SpokenVersions } from "./protocol-version.ts";

const NONCE_BYTES = 32;
/** Longest name or id that is taken from the other end. Unit: UTF-16 code units. */
const MAX_ID_LENGTH = 256;
/** While a token is being replaced, two are valid at once. */
const MAX_TOKENS = 2;

/** Who this end is. */
export interface LinkIdentity {
  readonly namespace: string;
  /** Id of the Redis node beside us; empty while that is not known yet, and then nobody links. */
  readonly nodeId: string;
  /** Chosen anew at each start of the process. */
  readonly runId: string;
}

export interface HandshakeParts {
  readonly self: LinkIdentity;
  /** Any of which proves a coordinator, the newest first; the first two are proved to an acceptor. */
  readonly tokens: readonly string[];
  readonly topologyHash: string;
  readonly randomBytes: (size: number) => Uint8Array;
}

/** Who the other end has proved to be. */
export interface RemoteEnd {
  readonly nodeId: string;
  readonly runId: string;
  /** The version that both speak. */
  readonly version: number;
  readonly topologyHash: string;
  /** The token that both proved to know. A secret: for comparing, not for showing. */
  readonly provenBy: string;
}

/** What to do after an envelope: send this and wait, or the handshake is over once this is sent. */
export type HandshakeStep =
  | { readonly done: false; readonly send: Envelope }
  | { readonly done: true; readonly send?: Envelope; readonly remote: RemoteEnd };

type UnprovenEnd = Omit<RemoteEnd, "provenBy">;

type InitiatorState =
  | { readonly at: "hello-sent" }
  /** The challenge was answered; the acceptor has yet to show that it knows a token too. */
  | { readonly at: "proof-sent"; readonly transcript: Transcript; readonly remote: UnprovenEnd }
  | { readonly at: "over" };

/** The steps of the end that opened the stream. A Fault that `receive` throws ends the link. */
export class InitiatorHandshake {
  readonly hello: HelloEnvelope;
  readonly #parts: HandshakeParts;
  #state: InitiatorState = { at: "hello-sent" };

  /** `expectedNodeId`: the node that must be there; empty: whichever is. */
  constructor(parts: HandshakeParts, expectedNodeId: string) {
    const { self, topologyHash, randomBytes } = parts;
    this.#parts = parts;
    this.hello = {
      kind: "hello",
      version: PROTOCOL_VERSION,
      oldestVersion: OLDEST_PROTOCOL_VERSION,
      ...self,
      expectedNodeId,
      nonce: randomBytes(NONCE_BYTES),
      topologyHash,
    };
  }

  receive(envelope: Envelope): HandshakeStep {
    const state = this.#state;
    this.#state = { at: "over" };
    if (state.at === "hello-sent" && envelope.kind === "challenge") return this.#prove(envelope);
    if (state.at === "proof-sent" && envelope.kind === "proof") return this.#verify(envelope, state);
    throw unexpected(envelope);
  }

  #prove(challenge: ChallengeEnvelope): HandshakeStep {
    const { self, tokens } = this.#parts;
    const { expectedNodeId } = this.hello;
    const { version, nodeId, runId, topologyHash } = challenge;
    checkParty(challenge, self);
    const chosen = { version, oldestVersion: version };
    if (commonVersion(chosen) === undefined) throw wrongVersion(chosen);
    if (expectedNodeId !== "" && nodeId !== expectedNodeId) throw wrongNode(expectedNodeId, nodeId);
    const transcript = { version, namespace: self.namespace, initiator: this.hello, acceptor: challenge };
    this.#state = { at: "proof-sent", transcript, remote: { nodeId, runId, version, topologyHash } };
    const macs = tokens.slice(0, MAX_TOKENS).map((token) => proofOf(token, "initiator", transcript));
    return { done: false, send: { kind: "proof", macs } };
  }

  #verify({ macs }: ProofEnvelope, { transcript, remote }: InitiatorState & { at: "proof-sent" }): HandshakeStep {
    const provenBy = macs.length === 1 ? tokenOfProof(macs, this.#parts.tokens, "acceptor", transcript) : undefined;
    if (provenBy === undefined) {
      throw new Fault("UNAUTHENTICATED", "the acceptor did not prove that it knows our serverToken");
    }
    return { done: true, remote: { ...remote, provenBy } };
  }
}

type AcceptorState =
  | { readonly at: "waiting-for-hello" }
  | { readonly at: "challenge-sent"; readonly transcript: Transcript; readonly remote: UnprovenEnd }
  | { readonly at: "over" };

/** The steps of the end that was connected to. A Fault that `receive` throws ends the link. */
export class AcceptorHandshake {
  readonly #parts: HandshakeParts;
  readonly #wrongProof: () => void;
  #state: AcceptorState = { at: "waiting-for-hello" };

  /** `wrongProof`: the initiator tried to prove a token that is none of ours. */
  constructor(parts: HandshakeParts, wrongProof: () => void = () => undefined) {
    this.#parts = parts;
    this.#wrongProof = wrongProof;
  }

  receive(envelope: Envelope): HandshakeStep {
    const state = this.#state;
    this.#state = { at: "over" };
    if (state.at === "waiting-for-hello" && envelope.kind === "hello") return this.#challenge(envelope);
    if (state.at === "challenge-sent" && envelope.kind === "proof") return this.#answer(envelope, state);
    throw unexpected(envelope);
  }

  #challenge(hello: HelloEnvelope): HandshakeStep {
    const { self, topologyHash, randomBytes } = this.#parts;
    if (self.nodeId === "") throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    if (hello.namespace !== self.namespace) {
      throw new Fault(
        "UNAUTHENTICATED",
        "this coordinator belongs to another deployment: the setting namespace must be the same on both, or the address is wrong",
      );
    }
    checkParty(hello, self);
    const { nodeId, runId, expectedNodeId } = hello;
    if (expectedNodeId !== "" && expectedNodeId !== self.nodeId) throw wrongNode(expectedNodeId, self.nodeId);
    const version = commonVersion(hello);
    if (version === undefined) throw wrongVersion(hello);
    const acceptor = { nodeId: self.nodeId, runId: self.runId, nonce: randomBytes(NONCE_BYTES) };
    const transcript = { version, namespace: self.namespace, initiator: hello, acceptor };
    const remote = { nodeId, runId, version, topologyHash: hello.topologyHash };
    this.#state = { at: "challenge-sent", transcript, remote };
    return { done: false, send: { kind: "challenge", version, ...acceptor, topologyHash } };
  }

  #answer({ macs }: ProofEnvelope, { transcript, remote }: AcceptorState & { at: "challenge-sent" }): HandshakeStep {
    const token =
      macs.length <= MAX_TOKENS ? tokenOfProof(macs, this.#parts.tokens, "initiator", transcript) : undefined;
    if (token === undefined) {
      this.#wrongProof();
      throw new Fault(
        "UNAUTHENTICATED",
        "the initiator did not prove that it knows our serverToken: the setting must be the same on both coordinators",
      );
    }
    const macsOfOurs = [proofOf(token, "acceptor", transcript)];
    return { done: true, send: { kind: "proof", macs: macsOfOurs }, remote: { ...remote, provenBy: token } };
  }
}

/** Refuses what no coordinator sends, and a link to oneself. */
function checkParty({ nodeId, runId, nonce }: Party, self: LinkIdentity): void {
  for (const id of [nodeId, runId]) {
    if (id === "" || id.length > MAX_ID_LENGTH) throw new Fault("UNAUTHENTICATED", "node id or run id is malformed");
  }
  if (nonce.length !== NONCE_BYTES) throw new Fault("UNAUTHENTICATED", `the nonce must have ${NONCE_BYTES} bytes`);
  if (runId === self.runId) {
    throw new Fault("UNAUTHENTICATED", "a coordinator does not link to itself: check the peer's address");
  }
}

function wrongNode(expected: string, actual: string): Fault {
  const text = `the coordinator at this address stands beside Redis node ${actual}, not ${expected}: check the peer's address`;
  return new Fault("UNAUTHENTICATED", text);
}

function wrongVersion({ version, oldestVersion }: SpokenVersions): Fault {
  const theirs = oldestVersion === version ? `${version}` : `${oldestVersion} to ${version}`;
  const ours = `${OLDEST_PROTOCOL_VERSION} to ${PROTOCOL_VERSION}`;
  const text = `the other end speaks mesh protocol ${theirs}, this one ${ours}: update the older coordinator, one release after the other`;
  return new Fault("UNAUTHENTICATED", text);
}

function unexpected({ kind }: Envelope): Fault {
  return new Fault("UNAUTHENTICATED", `unexpected ${kind} during the handshake: the link is not open yet`);
}
