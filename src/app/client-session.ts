import type { CallContext, CallSignal } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { checkPayload, payloadOf } from "../base/json-payload.ts";
import type { RequestScope } from "../base/request-scope.ts";
import type { Spans } from "../base/spans.ts";
import type { Timer, TimerWheel } from "../base/timer-wheel.ts";
import type { ClientCall, ClientLink, Connection, Remote } from "../connections/connection.ts";
import type { ConnectionOpening } from "../connections/connection-opening.ts";
import type { HeldConnections } from "../connections/held-connections.ts";
import {
  methodName,
  openConnectionRequest,
  openConnectionResponse,
  verbRequest,
  verbResponse,
} from "../connections/session-codec.ts";
import type { Verbs } from "../connections/verbs.ts";
import type { StreamCaller } from "../grpc/stream-caller.ts";
import { Duplex } from "../mesh/duplex.ts";
import type { DeliveryEnvelope } from "../mesh/envelope.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import type { StreamLimits } from "../mesh/limits.ts";
import { type Handler, type Handlers, METHOD } from "../mesh/method.ts";
import { Outbox } from "../mesh/outbox.ts";
import { Requester } from "../mesh/requester.ts";
import { Responder, type ResponderEvents } from "../mesh/responder.ts";
import { runMethodRequest, runMethodResponse } from "../rpc/rpc-codec.ts";
import { permittedRequest } from "./client-request.ts";

export interface ClientSessionParts {
  readonly held: HeldConnections;
  readonly opening: ConnectionOpening;
  readonly verbs: Verbs;
  readonly methods: {
    register(method: string, connection: Connection): void;
    unregister(method: string, connection: Connection): void;
  };
  /** Resolves once whoever has to know of it was told, or could not be: methods of clients may be hooks. Never rejects. */
  readonly methodsChanged: () => Promise<void>;
  /** What every client may ask for on one stream, by METHOD, until that has ended. */
  readonly handlersFor: (ended: CallSignal) => Handlers;
  readonly wheel: TimerWheel;
  readonly limits: StreamLimits;
  /** For a request that names no timeout. Unit: ms. */
  readonly defaultTimeoutMs: number;
  /** A longer timeout is cut to this. Unit: ms. */
  readonly maxTimeoutMs: number;
  readonly topologyHash: () => string;
  readonly handlerFailed: ResponderEvents["handlerFailed"];
  readonly settled: NonNullable<ResponderEvents["settled"]>;
  readonly scope: RequestScope;
  readonly spans?: Spans;
  /** Longest that a stream may take to open its connection. Unit: ms. */
  readonly openTimeoutMs: number;
}

/** Deliveries that may wait in one stream; the others wait in the log, where they are counted. Unit: bytes. */
const MAX_WAITING_BYTES = 256 * 1024;

const NO_BYTES = new Uint8Array();

/** How long a client that does not end its stream by itself may still send what it had begun to when it was asked for no more. Unit: ms. */
const LAST_REQUESTS_MS = 500;

/** How often a stream that is to end is looked at. Unit: ms. */
const DRAIN_PERIOD_MS = 20;

/** What a client may say of a call it was asked to serve; whatever else it says, its method has failed. */
const CLIENTS_CODES: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "UNKNOWN_METHOD",
  "RESOURCE_EXHAUSTED",
  "DEADLINE_EXCEEDED",
]);

/** One stream of ConnectionService.Open: it opens a connection, or resumes one, and is its link until it ends. */
export class ClientSession implements ClientLink {
  readonly remote: Remote;
  readonly #parts: ClientSessionParts;
  readonly #stream: FrameStream;
  readonly #requester: Requester;
  readonly #responder: Responder;
  readonly #duplex: Duplex;
  readonly #deliveries: Outbox<DeliveryEnvelope>;
  readonly #openTimer: Timer;
  readonly #ended: () => void;
  readonly #ending = new AbortController();
  #connection: Connection | undefined;
  #isLeaving = false;
  #isOpening = false;
  #isOver = false;

  /** `ended` is called once, and last. */
  constructor(parts: ClientSessionParts, stream: FrameStream, caller: StreamCaller, ended: () => void) {
    const { wheel, limits, topologyHash, openTimeoutMs } = parts;
    this.#parts = parts;
    this.#stream = stream;
    this.#ended = ended;
    this.remote = remoteOf(stream.remoteAddress);
    this.#requester = new Requester({
      nodeId: stream.remoteAddress,
      stream,
      wheel,
      limits,
      received: clientsFault,
      events: { closed: () => undefined },
    });
    this.#responder = new Responder({
      stream,
      handlers: this.#handlers(),
      wheel,
      limits,
      defaultTimeoutMs: parts.defaultTimeoutMs,
      permitted: (request) => permittedRequest(request, caller, parts.maxTimeoutMs),
      pong: () => ({ topologyHash: topologyHash(), confirmation: NO_BYTES, nodeName: "" }),
      scope: parts.scope,
      spans: parts.spans,
      events: { handlerFailed: parts.handlerFailed, settled: parts.settled, closed: () => this.#over() },
    });
    this.#deliveries = new Outbox({ stream, isAlone: () => false, emptied: () => this.wake() });
    this.#duplex = new Duplex({
      requester: this.#requester,
      responder: this.#responder,
      other: (envelope) => envelope.kind === "received" && this.#connection?.log.received(envelope.sequence),
      drained: () => this.#deliveries.drain(),
    });
    this.#openTimer = wheel.after(openTimeoutMs, () => {
      if (!this.#isOpening) this.close(new Fault("DEADLINE_EXCEEDED", "the stream did not open a connection in time"));
    });
  }

  start(): void {
    this.#stream.listen({
      frame: (bytes) => this.#duplex.frame(bytes),
      drain: () => this.#duplex.drain(),
      // A stream that breaks looks like this at first, too: only `quit` ends a connection for good.
      ended: () => this.#duplex.ended(),
      closed: (error) => this.#duplex.closed(error),
    });
  }

  async invoke(call: ClientCall, context: CallContext): Promise<Uint8Array> {
    const body = call.encoded ?? runMethodRequest.encode({ ...call, connectionId: "", slotPlusOne: 0 });
    const answer = await this.#requester.request(METHOD.RUN_METHOD, body, context);
    try {
      const { result } = decodeRequest(runMethodResponse.decode, answer);
      if (result.length === 0) return payloadOf(null);
      checkPayload(result);
      return result;
    } catch (thrown) {
      throw clientsFault(Fault.from(thrown));
    }
  }

  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Hands the stream as much of the log as may wait there. */
  wake(): void {
    const log = this.#connection?.log;
    if (!log || this.#isOver) return;
    while (this.#deliveries.waitingBytes < MAX_WAITING_BYTES) {
      const delivery = log.next();
      if (!delivery) return;
      this.#deliveries.push({ kind: "delivery", delivery }, Number.POSITIVE_INFINITY);
    }
  }

  close(fault?: Fault): void {
    if (fault) this.#duplex.close(fault);
    else this.#duplex.ended();
  }

  /** Asks the client for no more. It ends the stream once it has its answers; where it does not, that is ended once nothing runs on it, within a bound. Resolves then. */
  sendAway(reason: string, drainTimeoutMs: number): Promise<void> {
    const { wheel } = this.#parts;
    this.#isLeaving = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const endMs = wheel.now() + drainTimeoutMs;
    const quietEndMs = wheel.now() + Math.min(LAST_REQUESTS_MS, drainTimeoutMs);
    const look = (): void => {
      const isIdle = this.#responder.running === 0 && this.#requester.inFlight === 0;
      if (!this.#isOver && wheel.now() < (isIdle ? quietEndMs : endMs)) {
        wheel.after(DRAIN_PERIOD_MS, look);
        return;
      }
      this.close(new Fault("UNAVAILABLE", reason));
      resolve();
    };
    this.#responder.goAway(reason);
    // After the answers, and what is asked of the client, have left.
    wheel.after(0, look);
    return promise;
  }

  #handlers(): Handlers {
    const { held, verbs, methods, methodsChanged, handlersFor } = this.#parts;
    const ofConnection =
      (handle: (connection: Connection, body: Uint8Array, context: CallContext) => Promise<Uint8Array>): Handler =>
      async (body, context) => {
        const connection = this.#connection;
        if (!connection) throw new Fault("INVALID_ARGUMENT", "open the connection first");
        if (!held.isHeld(connection)) throw new Fault("UNKNOWN_CONNECTION", "the connection has ended");
        connection.totalActions++;
        connection.pendingActions++;
        try {
          return await handle(connection, body, context);
        } finally {
          connection.pendingActions--;
        }
      };
    const shared = [...handlersFor(this.#ending.signal)].map(
      ([method, handle]) => [method, ofConnection((_connection, body, context) => handle(body, context))] as const,
    );
    return new Map<number, Handler>([
      ...shared,
      [METHOD.OPEN_CONNECTION, (body, context) => this.#open(body, context)],
      [
        METHOD.VERB,
        ofConnection(async (connection, body, context) => {
          const request = decodeRequest(verbRequest.decode, body);
          return verbResponse.encode({ result: await verbs.run(connection, request, context) });
        }),
      ],
      [
        METHOD.REGISTER_METHOD,
        ofConnection(async (connection, body) => {
          methods.register(decodeRequest(methodName.decode, body).method, connection);
          await methodsChanged();
          return NO_BYTES;
        }),
      ],
      [
        METHOD.UNREGISTER_METHOD,
        ofConnection(async (connection, body) => {
          methods.unregister(decodeRequest(methodName.decode, body).method, connection);
          await methodsChanged();
          return NO_BYTES;
        }),
      ],
    ]);
  }

  async #open(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { held, opening } = this.#parts;
    if (this.#isOpening) throw new Fault("INVALID_ARGUMENT", "this stream has its connection already");
    this.#isOpening = true;
    try {
      const request = decodeRequest(openConnectionRequest.decode, body);
      for (const payload of request.params.values()) checkPayload(payload);
      const { connection, response } = await opening.open(request, this, context);
      if (request.methods.length > 0) await this.#parts.methodsChanged();
      this.#connection = connection;
      // Nobody has the token of a new one then.
      if (context.signal.aborted && !response.resumed) void held.end(connection, "expired");
      else if (context.signal.aborted) this.close(new Fault("DEADLINE_EXCEEDED", "the connection was opened too late"));
      if (this.#isOver) held.detach(connection, this);
      // After the answer, which leaves with this turn.
      else setImmediate(() => this.wake());
      return openConnectionResponse.encode(response);
    } catch (fault) {
      this.#isOpening = false;
      throw fault;
    }
  }

  #over(): void {
    this.#isOver = true;
    this.#parts.wheel.disarm(this.#openTimer);
    this.#deliveries.close();
    this.#ending.abort();
    if (this.#connection) this.#parts.held.detach(this.#connection, this);
    this.#ended();
  }
}

function clientsFault(fault: Fault): Fault {
  return CLIENTS_CODES.has(fault.code) ? fault : new Fault("METHOD_FAILED", fault.message, { cause: fault });
}

/** `ip:port`, with an IPv6 address in brackets or not. */
function remoteOf(address: string): Remote {
  const colon = address.lastIndexOf(":");
  return { ip: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) || 0 };
}
