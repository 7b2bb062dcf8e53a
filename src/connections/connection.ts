import { Buffer } from "node:buffer";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { DeliveryLog } from "./delivery-log.ts";
import type { ConnectionDetails } from "./session-codec.ts";

/** A call of a method that a client has registered. */
export interface ClientCall {
  readonly method: string;
  /** Encoded payloads. */
  readonly args: readonly Uint8Array[];
  /** Name of the node that was asked. */
  readonly caller: string;
  /** The encoded RunMethodRequest, where it is there. */
  readonly encoded?: Uint8Array | undefined;
}

/** The stream to a connection's client, while there is one. */
export interface ClientLink {
  /** Where the client is. */
  readonly remote: Remote;
  /** Resolves with the encoded payload. Rejects with METHOD_FAILED; INDETERMINATE where the stream was lost meanwhile. */
  invoke(call: ClientCall, context: CallContext): Promise<Uint8Array>;
  /** Whether the client is on its way to another node: it is asked for nothing new. */
  readonly isLeaving: boolean;
  /** Something is in the log. */
  wake(): void;
  /** Without a fault: once what is owed to the client has been sent. */
  close(fault?: Fault): void;
}

export interface Remote {
  readonly ip: string;
  readonly port: number;
}

/** What a connection is from its first moment to its last. */
export interface ConnectionOrigin {
  readonly id: string;
  readonly type: string;
  readonly fingerprint: string;
  readonly connectedAtMs: number;
}

/** Operations of one connection that may wait for their turn. */
const MAX_WAITING_TURNS = 1024;

/** What may be set on one connection, and what its client may keep on it: bytes of names and encoded values, and how many. */
const MAX_VALUES_BYTES = 64 * 1024;
const MAX_VALUES = 256;

/** A client's session. It outlives its stream: while there is none it gathers what is for its client. */
export class Connection {
  readonly origin: ConnectionOrigin;
  readonly log: DeliveryLog;
  readonly rooms = new Set<string>();
  readonly attributes = new Map<string, Uint8Array>();
  readonly params = new Map<string, Uint8Array>();
  /** Of the resume token that is valid now. */
  tokenHash: string;
  /** Whether it was ended for good, which another node's taking it over is not. */
  hasEnded = false;
  /** Whether the directory's record may say something else than this: writing it has failed, or is still to come. */
  isUnwritten = false;
  totalActions = 0;
  pendingActions = 0;
  #link: ClientLink | undefined;
  #remote: Remote = { ip: "", port: 0 };
  readonly #gone = Promise.withResolvers<void>();
  #turns: Promise<unknown> = Promise.resolve();
  #waitingTurns = 0;

  constructor(origin: ConnectionOrigin, tokenHash: string, log: DeliveryLog) {
    this.origin = origin;
    this.tokenHash = tokenHash;
    this.log = log;
  }

  /** One that another node held before. */
  static restored(details: ConnectionDetails, tokenHash: string, log: DeliveryLog): Connection {
    const { id, type, fingerprint, connectedAtMs } = details;
    const connection = new Connection({ id, type, fingerprint, connectedAtMs }, tokenHash, log);
    connection.totalActions = details.totalActions;
    // Copies: what was decoded are views into a message.
    for (const [key, value] of details.attributes) connection.attributes.set(key, Uint8Array.from(value));
    for (const [key, value] of details.params) connection.params.set(key, Uint8Array.from(value));
    for (const room of details.rooms) connection.rooms.add(room);
    return connection;
  }

  get id(): string {
    return this.origin.id;
  }

  /** Undefined while its client is away. */
  get link(): ClientLink | undefined {
    return this.#link;
  }

  /** Whether its client can be asked for something. */
  get isPresent(): boolean {
    return this.#link !== undefined && !this.#link.isLeaving;
  }

  /** Resolves once this node does not hold it any more. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  dropped(): void {
    this.#gone.resolve();
  }

  attach(link: ClientLink): void {
    this.#link = link;
    this.#remote = link.remote;
  }

  detach(): void {
    this.#link = undefined;
  }

  /** `node`: name of the coordinator that holds it. */
  details(node: string): ConnectionDetails {
    const { totalActions, pendingActions, attributes, params } = this;
    return {
      ...this.origin,
      remoteIp: this.#remote.ip,
      remotePort: this.#remote.port,
      rooms: [...this.rooms],
      totalActions,
      pendingActions,
      attributes,
      params,
      node,
    };
  }

  /** `content`: an encoded Delivery without its sequence. */
  deliver(content: Uint8Array): void {
    this.log.push(content);
    this.#link?.wake();
  }

  /** Rejects with UNAVAILABLE while the client is away. */
  invoke(call: ClientCall, context: CallContext): Promise<Uint8Array> {
    if (this.#link && this.isPresent) return this.#link.invoke(call, context);
    return Promise.reject(new Fault("UNAVAILABLE", `connection ${this.id} has lost its client`));
  }

  /** Does one thing after the other. Rejects with RESOURCE_EXHAUSTED where too many wait. */
  inTurn<T>(action: () => Promise<T>): Promise<T> {
    if (this.#waitingTurns >= MAX_WAITING_TURNS) {
      const text = `${MAX_WAITING_TURNS} operations on connection ${this.id} wait; try again later`;
      return Promise.reject(new Fault("RESOURCE_EXHAUSTED", text));
    }
    this.#waitingTurns++;
    const turn = this.#turns.then(action).finally(() => this.#waitingTurns--);
    this.#turns = turn.catch(() => undefined);
    return turn;
  }
}

/** Sets one of a connection's values. Throws INVALID_ARGUMENT, or RESOURCE_EXHAUSTED where they would be too large together. */
export function setValue(values: Map<string, Uint8Array>, key: string, value: Uint8Array): void {
  if (key === "") throw new Fault("INVALID_ARGUMENT", "a key is required");
  let size = Buffer.byteLength(key) + value.length;
  for (const [name, kept] of values) if (name !== key) size += Buffer.byteLength(name) + kept.length;
  if (size > MAX_VALUES_BYTES || (values.size >= MAX_VALUES && !values.has(key))) {
    const text = `a connection has ${MAX_VALUES} values at most, which take ${MAX_VALUES_BYTES} bytes together`;
    throw new Fault("RESOURCE_EXHAUSTED", text);
  }
  values.set(key, Uint8Array.from(value));
}
