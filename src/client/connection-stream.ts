import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { deadlineIn } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { OPEN_METHOD } from "../grpc/frame-methods.ts";
import { ClientFrameStream } from "../grpc/peer-transport.ts";
import { Duplex } from "../mesh/duplex.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import { type Handler, METHOD } from "../mesh/method.ts";
import { Requester } from "../mesh/requester.ts";
import { Responder } from "../mesh/responder.ts";
import type { RpcChannel, RpcOptions } from "./rpc-channel.ts";
import { armableTimeoutMs } from "./timeout.ts";

export interface ConnectionStreamParts {
  readonly channel: RpcChannel;
  readonly limits: StreamLimits;
  readonly wheel: TimerWheel;
  /** For requests that name no other. Unit: ms. */
  readonly timeoutMs: number;
  /** Answers the coordinator's RunMethodRequests. */
  readonly runMethod: Handler;
  /** An encoded Delivery. */
  readonly delivered: (delivery: Uint8Array) => void;
  /** The coordinator stops: it takes no new requests, and ends the stream soon. */
  readonly sentAway: () => void;
  /** Once, and last. */
  readonly ended: (fault: Fault) => void;
}

const NO_BYTES = new Uint8Array();

/** One stream of ConnectionService.Open, from the client's side. */
export class ConnectionStream {
  readonly #parts: ConnectionStreamParts;
  readonly #requester: Requester;
  readonly #responder: Responder;
  readonly #duplex: Duplex;
  #isLeaving = false;
  #fault: Fault | undefined;

  constructor(parts: ConnectionStreamParts) {
    const { channel, limits, wheel, timeoutMs, runMethod, delivered, sentAway, ended } = parts;
    this.#parts = parts;
    const stream = new ClientFrameStream(channel.address, channel.bidiStream(OPEN_METHOD), () => undefined);
    this.#requester = new Requester({
      nodeId: channel.address,
      stream,
      wheel,
      limits,
      events: {
        goAway: () => {
          this.#isLeaving = true;
          sentAway();
          this.#endIfAnswered();
        },
        closed: (fault) => {
          this.#fault = fault;
          ended(fault);
        },
      },
    });
    this.#responder = new Responder({
      stream,
      handlers: new Map([[METHOD.RUN_METHOD, runMethod]]),
      wheel,
      limits,
      defaultTimeoutMs: timeoutMs,
      pong: () => ({ topologyHash: "", confirmation: NO_BYTES, nodeName: "" }),
      events: { handlerFailed: () => undefined },
    });
    this.#duplex = new Duplex({
      requester: this.#requester,
      responder: this.#responder,
      other: (envelope) => envelope.kind === "delivery" && delivered(envelope.delivery),
      drained: () => undefined,
    });
    stream.listen(this.#duplex);
  }

  get channel(): RpcChannel {
    return this.#parts.channel;
  }

  /** Whether the coordinator has said that it stops. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Why it is over; undefined: it is not. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  request(method: number, body: Uint8Array, { timeoutMs, signal }: RpcOptions = {}): Promise<Uint8Array> {
    const deadline = deadlineIn(armableTimeoutMs(timeoutMs ?? this.#parts.timeoutMs));
    const context: CallContext = { deadline, signal: signal ?? NEVER_ABORTED, depth: 0 };
    return this.#requester.request(method, body, context).finally(() => this.#endIfAnswered());
  }

  /** Says that every delivery up to this one has arrived. */
  acknowledge(sequence: number): void {
    this.#requester.acknowledge(sequence);
  }

  /** A coordinator that stops waits for that: nothing is on its way to it any more, so that it cuts off nothing. */
  #endIfAnswered(): void {
    if (this.#isLeaving && this.#requester.inFlight === 0) this.#responder.ended();
  }

  close(): void {
    this.#duplex.close(new Fault("CANCELLED", "the client closed the connection"));
  }
}
