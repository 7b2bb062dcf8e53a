import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { type ClientLink, Connection, setValue } from "./connection.ts";
import type { ConnectionDirectory, ConnectionRecord } from "./connection-directory.ts";
import type { ConnectionLeases } from "./connection-leases.ts";
import { type ConnectionRecovery, invalidToken } from "./connection-recovery.ts";
import { type DeliveryLimits, DeliveryLog } from "./delivery-log.ts";
import type { ConnectionObserver, HeldConnections } from "./held-connections.ts";
import { newConnectionId, newResumeToken } from "./resume-token.ts";
import type { ConnectionDetails, OpenConnectionRequest, OpenConnectionResponse } from "./session-codec.ts";

export interface ConnectionOpeningParts {
  readonly held: HeldConnections;
  readonly leases: ConnectionLeases;
  readonly recovery: ConnectionRecovery;
  readonly directory: Pick<ConnectionDirectory, "put" | "claim" | "remove">;
  readonly nodeName: () => string;
  /** Throws METHOD_EXISTS and the like where no connection could register these. */
  readonly assertRegistrable: (methods: readonly string[]) => void;
  readonly deliveries: DeliveryLimits;
  readonly graceMs: number;
  readonly maxConnections: number;
  readonly observer: ConnectionObserver;
}

/** A connection that was opened or resumed, and what its client is told. */
export interface OpenedConnection {
  readonly connection: Connection;
  readonly response: OpenConnectionResponse;
}

interface Opened {
  readonly connection: Connection;
  readonly token: string;
}

const DEFAULT_TYPE = "client";
/** Unit: UTF-16 code units. */
const MAX_TYPE_LENGTH = 64;
const MAX_FINGERPRINT_LENGTH = 256;

/** Opens connections, and resumes those whose clients come back. */
export class ConnectionOpening {
  readonly #parts: ConnectionOpeningParts;
  #opening = 0;

  constructor(parts: ConnectionOpeningParts) {
    this.#parts = parts;
  }

  /** Opens a connection over the link, or resumes one. Rejects with a Fault, and then the link serves nothing. */
  async open(request: OpenConnectionRequest, link: ClientLink, context: CallContext): Promise<OpenedConnection> {
    const { assertRegistrable, graceMs, nodeName, observer } = this.#parts;
    assertRegistrable(request.methods);
    const resumed = request.resumeToken !== "";
    const { connection, token } = resumed
      ? await this.#resume(request, link, context)
      : await this.#withinBound(() => this.#openNew(request, link));
    observer.opened(resumed ? "resumed" : "new");
    const details = connection.details(nodeName());
    return { connection, response: { details, resumeToken: token, resumeGraceMs: graceMs, resumed } };
  }

  async #withinBound<T>(open: () => Promise<T>): Promise<T> {
    const { held, maxConnections } = this.#parts;
    if (held.size + this.#opening >= maxConnections) {
      throw new Fault("RESOURCE_EXHAUSTED", `this node holds ${maxConnections} connections already (maxConnections)`);
    }
    this.#opening++;
    try {
      return await open();
    } finally {
      this.#opening--;
    }
  }

  async #openNew({ type, fingerprint, params, methods }: OpenConnectionRequest, link: ClientLink): Promise<Opened> {
    if (type.length > MAX_TYPE_LENGTH || fingerprint.length > MAX_FINGERPRINT_LENGTH) {
      const text = `the type of a connection has ${MAX_TYPE_LENGTH} characters at most, its fingerprint ${MAX_FINGERPRINT_LENGTH}`;
      throw new Fault("INVALID_ARGUMENT", text);
    }
    const { held, directory, deliveries } = this.#parts;
    const id = newConnectionId();
    const { token, hash } = newResumeToken(id);
    const origin = { id, type: type || DEFAULT_TYPE, fingerprint: fingerprint || id, connectedAtMs: Date.now() };
    const connection = new Connection(origin, hash, new DeliveryLog(deliveries));
    for (const [key, value] of params) setValue(connection.params, key, value);
    connection.attach(link);
    await directory.put(held.recordOf(connection));
    held.hold(connection, methods);
    return { connection, token };
  }

  async #resume(request: OpenConnectionRequest, link: ClientLink, context: CallContext): Promise<Opened> {
    const { held, recovery, leases } = this.#parts;
    const found = await recovery.recordOf(request.resumeToken, context);
    const { id } = found.details;
    if (held.hasEnded(id)) throw ended(id);
    const local = held.get(id);
    if (local && recovery.isHolder(found)) {
      const { token, hash } = await this.#claim(found, undefined, context);
      local.tokenHash = hash;
      // While the directory was asked it may have ended.
      if (local.hasEnded) return this.#takeBack(local);
      // Or another node came for it with the same token, whose claim has failed then.
      const wasLost = !held.isHeld(local);
      this.#attach(local, link, request);
      if (wasLost) await leases.enterRooms(local);
      return { connection: local, token };
    }
    // Another node has had it since, and what is here is older.
    if (local) held.lose(local);
    const opened = await this.#withinBound(async () => {
      const { receivedSequence } = request;
      const taken = await recovery.takeOver(found, receivedSequence, context);
      const { token, hash, details } = await this.#claim(found, taken?.details, context);
      const connection = recovery.restored(details, hash, receivedSequence, taken);
      this.#attach(connection, link, request);
      return { connection, token };
    });
    await leases.enterRooms(opened.connection);
    return opened;
  }

  /** Exchanges the token for a new one. `details`: undefined where the record's are the newest there are. Rejects with UNAUTHENTICATED where somebody else did. */
  async #claim(found: ConnectionRecord, details: ConnectionDetails | undefined, context: CallContext) {
    const { held, directory } = this.#parts;
    if (context.signal.aborted) throw new Fault("CANCELLED", "the caller cancelled before the connection was resumed");
    const connectionId = found.details.id;
    const { token, hash } = newResumeToken(connectionId);
    const claim = { connectionId, holder: held.self(), tokenHash: hash, details };
    const claimed = await directory.claim(found.tokenHash, claim);
    if (!claimed) throw invalidToken();
    return { token, hash, details: claimed };
  }

  /** The claim has written the record of a connection that had ended by then. */
  async #takeBack(connection: Connection): Promise<never> {
    const { held, directory } = this.#parts;
    const { holder, tokenHash } = held.recordOf(connection);
    await directory.remove(connection.id, holder.runId, tokenHash).catch(() => undefined);
    throw ended(connection.id);
  }

  #attach(connection: Connection, link: ClientLink, { receivedSequence, methods }: OpenConnectionRequest): void {
    const previous = connection.link;
    connection.attach(link);
    connection.log.resume(receivedSequence);
    previous?.close(new Fault("CANCELLED", "the connection was resumed on another stream"));
    this.#parts.held.hold(connection, methods);
  }
}

function ended(connectionId: string): Fault {
  return new Fault("UNKNOWN_CONNECTION", `connection ${connectionId} has ended; open a new one`);
}
