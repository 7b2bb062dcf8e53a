import { Server, ServerCredentials, type ServerDuplexStream, status } from "@grpc/grpc-js";
import type { ExecutionContext } from "ava";
import type { Fault } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { connect, type GearmeshClient } from "../../../src/client/client.ts";
import {
  type Delivery,
  delivery,
  methodName,
  type OpenConnectionRequest,
  openConnectionRequest,
  openConnectionResponse,
  verbRequest,
  verbResponse,
} from "../../../src/connections/session-codec.ts";
import { OPEN_METHOD } from "../../../src/grpc/frame-methods.ts";
import { frameHandler } from "../../../src/grpc/link-service.ts";
import type { Envelope, RequestEnvelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../../src/mesh/frame-codec.ts";
import type { FrameStream } from "../../../src/mesh/frame-stream.ts";
import { METHOD } from "../../../src/mesh/method.ts";

/** What a test wants in the place of the usual answer; undefined: the usual one. */
export type Script = (request: RequestEnvelope, session: Session) => readonly Envelope[] | undefined;

/** One stream of ConnectionService.Open, from the coordinator's side. */
export class Session {
  /** Index of the stream. */
  readonly index: number;
  readonly opened: OpenConnectionRequest[] = [];
  readonly verbs: string[] = [];
  /** What the client acknowledged. */
  readonly received: number[] = [];
  /** What it answered our requests with. */
  readonly answers: Envelope[] = [];
  readonly #stream: FrameStream;
  readonly #call: ServerDuplexStream<Uint8Array, Uint8Array>;
  #isOver = false;

  constructor(index: number, stream: FrameStream, call: ServerDuplexStream<Uint8Array, Uint8Array>, script: Script) {
    this.index = index;
    this.#stream = stream;
    this.#call = call;
    stream.listen({
      frame: (bytes) => {
        for (const envelope of decodeFrame(bytes)) this.#take(envelope, script);
      },
      drain: () => undefined,
      ended: () => this.close(),
      closed: () => {
        this.#isOver = true;
      },
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** All in one frame. */
  send(...envelopes: readonly Envelope[]): void {
    this.#stream.send(encodeFrame(envelopes));
  }

  close(fault?: Fault): void {
    this.#stream.close(fault);
  }

  /** As gRPC does where the process is stopped: no word of the coordinator's own. */
  cutOff(): void {
    this.#call.emit("error", { code: status.CANCELLED, details: "Call cancelled" });
  }

  #take(envelope: Envelope, script: Script): void {
    if (envelope.kind === "received") this.received.push(envelope.sequence);
    if (envelope.kind === "response" || envelope.kind === "fault") this.answers.push(envelope);
    if (envelope.kind !== "request") return;
    if (envelope.method === METHOD.OPEN_CONNECTION) this.opened.push(openConnectionRequest.decode(envelope.body));
    if (envelope.method === METHOD.VERB) this.verbs.push(verbRequest.decode(envelope.body).verb);
    const answers = script(envelope, this) ?? [this.answer(envelope)];
    if (answers.length > 0) this.send(...answers);
  }

  /** The usual answer. */
  answer({ id, method }: RequestEnvelope): Envelope {
    return { kind: "response", id, method, result: this.#result(method) };
  }

  #result(method: number): Uint8Array {
    if (method === METHOD.VERB) return verbResponse.encode({ result: payloadOf(null) });
    if (method !== METHOD.OPEN_CONNECTION) return new Uint8Array();
    const details = {
      ...{ id: "c", type: "client", fingerprint: "c", remoteIp: "127.0.0.1", remotePort: 1, connectedAtMs: 1 },
      ...{ rooms: [], totalActions: 0, pendingActions: 0, attributes: new Map(), params: new Map(), node: "n" },
    };
    return openConnectionResponse.encode({
      details,
      resumeToken: `token ${this.index}`,
      resumeGraceMs: 60_000,
      resumed: this.index > 0,
    });
  }
}

/** A coordinator's end of connections in this process, which says what a test wants and nothing by itself, and a client of it. */
export async function startConnections(
  t: ExecutionContext,
  script: Script = () => undefined,
): Promise<{ readonly client: GearmeshClient; readonly sessions: readonly Session[] }> {
  const server = new Server();
  const sessions: Session[] = [];
  const accept = frameHandler((stream, call) => {
    sessions.push(new Session(sessions.length, stream, call, script));
  });
  server.addService({ Open: OPEN_METHOD }, { Open: accept });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = connect({ address: `127.0.0.1:${port}`, token: "0123456789abcdef" });
  t.teardown(() => {
    client.close();
    server.forceShutdown();
  });
  return { client, sessions };
}

/** A delivery of this content. */
export function deliveryOf(sequence: number, content: Partial<Omit<Delivery, "sequence">>): Envelope {
  const nothing = { message: undefined, roomMessage: undefined, missed: undefined };
  return { kind: "delivery", delivery: delivery.encode({ ...nothing, ...content, sequence }) };
}

/** Name of the method that a request to register is about. */
export function registeredName({ body }: RequestEnvelope): string {
  return methodName.decode(body).method;
}
