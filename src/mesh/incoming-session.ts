import { Fault } from "../base/fault.ts";
import { Authentication } from "./authentication.ts";
import type { FrameStream, FrameStreamEvents } from "./frame-stream.ts";
import { AcceptorHandshake, type RemoteEnd } from "./handshake.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { LinkParts } from "./mesh-parts.ts";
import { Responder } from "./responder.ts";

export interface IncomingSessionEvents {
  /** It is open: by this token. */
  proven(remote: RemoteEnd): void;
  /** Once, and last. */
  ended(): void;
}

/** One stream from another coordinator: it must prove the token, then it is answered. */
export class IncomingSession implements FrameStreamEvents {
  readonly #parts: LinkParts;
  readonly #stream: FrameStream;
  readonly #ended: () => void;
  readonly #proven: (remote: RemoteEnd) => void;
  readonly #heartbeat: Heartbeat;
  #stage: Authentication | Responder;
  #provenBy: string | undefined;

  constructor(parts: LinkParts, stream: FrameStream, { proven, ended }: IncomingSessionEvents) {
    const { wheel, settings, self, tokens, topology, randomBytes, observer } = parts;
    this.#parts = parts;
    this.#stream = stream;
    this.#ended = ended;
    this.#proven = proven;
    this.#stage = new Authentication({
      stream,
      handshake: new AcceptorHandshake({ self, tokens: tokens(), topologyHash: topology.hash(), randomBytes }, () =>
        observer.proofRefused(stream.remoteAddress),
      ),
      wheel,
      timeoutMs: settings.handshakeTimeoutMs,
      proven: (remote) => this.#open(remote),
      failed: (fault) => {
        observer.inboundRefused(stream.remoteAddress, fault);
        ended();
      },
    });
    // The initiator pings; this end only listens for it.
    this.#heartbeat = new Heartbeat({
      wheel,
      periodMs: settings.heartbeatMs,
      beat: () => undefined,
      lost: () => this.close(new Fault("UNAVAILABLE", "no sign of life from the initiator")),
    });
  }

  start(): void {
    this.#stream.listen(this);
  }

  /** Whether it has proved the token. */
  get open(): boolean {
    return this.#stage instanceof Responder;
  }

  /** The token by which it was opened; undefined until it is. */
  get provenBy(): string | undefined {
    return this.#provenBy;
  }

  /** Handlers at work for it. */
  get running(): number {
    return this.#stage instanceof Responder ? this.#stage.running : 0;
  }

  /** Asks the initiator to finish, which ends the stream; one that is not open yet ends at once. */
  goAway(reason: string): void {
    if (this.#stage instanceof Responder) this.#stage.goAway(reason);
    else this.#stage.close(new Fault("UNAVAILABLE", reason));
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

  ended(): void {
    this.#stage.ended();
  }

  closed(error?: Error): void {
    this.#stage.closed(error);
  }

  #open(remote: RemoteEnd): void {
    const { handlers, wheel, settings, topology, nodeName, names, observer, scope, spans } = this.#parts;
    const { nodeId, runId } = remote;
    const compare = (hash: string): void => {
      if (hash !== topology.hash()) observer.topologyDiffers(nodeId, hash);
    };
    this.#stage = new Responder({
      stream: this.#stream,
      handlers,
      wheel,
      limits: settings.limits,
      defaultTimeoutMs: settings.requestTimeoutMs,
      scope,
      spans,
      pong({ epoch, topologyHash, nodeName: peerName }) {
        names.heard(runId, peerName);
        compare(topologyHash);
        const confirmation = topology.confirm({ nodeId, epoch, topologyHash });
        return { topologyHash: topology.hash(), confirmation, nodeName: nodeName() };
      },
      events: {
        handlerFailed: (method, cause) => observer.handlerFailed(method, cause),
        settled: (method, code, tookMs) => observer.settled(method, code, tookMs),
        closed: (fault) => {
          this.#heartbeat.stop();
          observer.inboundClosed(remote, fault);
          this.#ended();
        },
      },
    });
    this.#provenBy = remote.provenBy;
    this.#heartbeat.start();
    this.#proven(remote);
    observer.inboundOpened(remote, this.#stream.remoteAddress);
    compare(remote.topologyHash);
  }
}
