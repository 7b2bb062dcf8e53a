import { Fault } from "../base/fault.ts";
import type { Timer } from "../base/timer-wheel.ts";
import { Authentication } from "./authentication.ts";
import type { PongEnvelope } from "./envelope.ts";
import { encodeFrame } from "./frame-codec.ts";
import type { FrameStream, FrameStreamEvents } from "./frame-stream.ts";
import { InitiatorHandshake, type RemoteEnd } from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { LinkParts, PeerAddress } from "./mesh-parts.ts";
import { saysWhoIsAdmin } from "./protocol-version.ts";
import { Requester } from "./requester.ts";

export interface OutgoingSessionEvents {
  opened(remote: RemoteEnd): void;
  /** The peer takes no new requests on this stream, which now drains by itself. */
  goingAway(reason: string): void;
  /** Once, and last. */
  ended(fault: Fault): void;
}

/** One stream to a peer from its first byte to its last: it proves the token, then asks. */
export class OutgoingSession implements FrameStreamEvents {
  readonly #parts: LinkParts;
  readonly #peer: PeerAddress;
  readonly #events: OutgoingSessionEvents;
  readonly #stream: FrameStream;
  readonly #handshake: InitiatorHandshake;
  readonly #heartbeat: Heartbeat;
  #stage: Authentication | Requester;
  #drainTimer: Timer | undefined;
  /** When the last ping left, by its nonce, which is too coarse to measure by. */
  #pinged = { nonce: 0, atMs: 0 };
  #drainEndsMs = Number.POSITIVE_INFINITY;

  constructor(parts: LinkParts, peer: PeerAddress, stream: FrameStream, events: OutgoingSessionEvents) {
    const { wheel, settings, self, tokens, topology, randomBytes } = parts;
    this.#parts = parts;
    this.#peer = peer;
    this.#events = events;
    this.#stream = stream;
    this.#handshake = new InitiatorHandshake(
      { self, tokens: tokens(), topologyHash: topology.hash(), randomBytes },
      peer.nodeId,
    );
    this.#stage = new Authentication({
      stream,
      handshake: this.#handshake,
      wheel,
      timeoutMs: settings.handshakeTimeoutMs,
      proven: (remote) => this.#open(remote),
      failed: (fault) => this.#end(fault),
    });
    this.#heartbeat = new Heartbeat({
      wheel,
      periodMs: settings.heartbeatMs,
      beat: () => this.ping(),
      lost: () => this.close(new Fault("UNAVAILABLE", `no sign of life from ${peer.address}`)),
    });
  }

  start(): void {
    this.#stream.listen(this);
    this.#stream.send(encodeFrame([this.#handshake.hello]));
  }

  /** Where requests go, once the handshake is over. */
  get requester(): Requester | undefined {
    return this.#stage instanceof Requester ? this.#stage : undefined;
  }

  get phase(): "connecting" | "handshake" | "open" {
    if (this.#stage instanceof Requester) return "open";
    return this.#stage.heard ? "handshake" : "connecting";
  }

  /** Tells the peer our topology and asks for its own, once the handshake is over. The nonce is when it left, by our clock. */
  ping(): void {
    const { topology, nodeName, wheel } = this.#parts;
    const atMs = wheel.now();
    this.#pinged = { nonce: Math.floor(atMs), atMs };
    this.requester?.ping({
      nonce: this.#pinged.nonce,
      topologyHash: topology.hash(),
      epoch: topology.epoch(),
      nodeName: nodeName(),
    });
  }

  /** Takes no new requests and closes when those in flight are answered, or after `withinMs`. Once more, it may be told to take less time. */
  retire(reason: string, withinMs = this.#parts.settings.drainTimeoutMs): void {
    const { wheel } = this.#parts;
    const fault = new Fault("UNAVAILABLE", reason);
    const endsMs = wheel.now() + withinMs;
    if (endsMs >= this.#drainEndsMs) return;
    if (this.#drainTimer !== undefined) wheel.disarm(this.#drainTimer);
    this.#drainEndsMs = endsMs;
    this.#drainTimer = wheel.after(withinMs, () => this.close(fault));
    if (this.#stage instanceof Requester) this.#stage.retire(reason);
    else this.close(fault);
  }

  /** Idempotent. */
  close(fault: Fault): void {
    this.#stage.close(fault);
  }

  frame(bytes: Uint8Array): void {
    this.#heartbeat.heard();
    this.#stage.frame(bytes);
  }

  drain(): void {
    this.#stage.drain();
  }

  closed(error?: Error): void {
    this.#stage.closed(error);
  }

  #open(remote: RemoteEnd): void {
    const { wheel, settings, names } = this.#parts;
    this.#stage = new Requester({
      nodeId: this.#peer.nodeId,
      stream: this.#stream,
      wheel,
      limits: settings.limits,
      saysWhoIsAdmin: saysWhoIsAdmin(remote.version),
      events: {
        pong: (pong) => {
          names.heard(remote.runId, pong.nodeName);
          this.#heard(pong);
        },
        goAway: (reason) => {
          this.#events.goingAway(reason);
          this.retire(reason);
        },
        closed: (fault) => this.#end(fault),
      },
    });
    this.#heartbeat.start();
    this.#events.opened(remote);
    this.#compare(remote.topologyHash);
    this.ping();
  }

  #heard({ nonce, topologyHash, confirmation }: PongEnvelope): void {
    const { topology, wheel, observer } = this.#parts;
    if (nonce === this.#pinged.nonce) observer.beat(this.#peer, wheel.now() - this.#pinged.atMs);
    try {
      topology.confirmed(this.#peer.nodeId, Math.min(nonce, wheel.now()), confirmation);
    } catch (cause) {
      this.close(new Fault("INVALID_ARGUMENT", "the peer sent a malformed pong", { cause }));
      return;
    }
    this.#compare(topologyHash);
  }

  #compare(hash: string): void {
    const { observer, topology } = this.#parts;
    if (hash !== topology.hash()) observer.topologyDiffers(this.#peer.nodeId, hash);
  }

  #end(fault: Fault): void {
    const { wheel } = this.#parts;
    this.#heartbeat.stop();
    if (this.#drainTimer !== undefined) wheel.disarm(this.#drainTimer);
    this.#events.ended(fault);
  }
}
