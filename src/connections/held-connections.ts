import type { CallContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { type ClientLink, Connection, setValue } from "./connection.ts";
import type { ConnectionDirectory, ConnectionRecord, Holder } from "./connection-directory.ts";
import { type ConnectionRecovery, invalidToken } from "./connection-recovery.ts";
import { type DeliveryLimits, DeliveryLog } from "./delivery-log.ts";
import { newConnectionId, newResumeToken } from "./resume-token.ts";
import type { RoomMembership } from "./room-membership.ts";
import {
  type OpenConnectionRequest,
  type OpenConnectionResponse,
  takeOverRequest,
  takeOverResponse,
} from "./session-codec.ts";

/** Told what happens, for the metrics. */
export interface ConnectionObserver {
  opened(kind: "new" | "resumed"): void;
  closed(reason: ClosedBecause): void;
}

/** Why a connection is not held here any more. */
export type ClosedBecause = "quit" | "destroyed" | "expired" | "taken-over";

export interface HeldConnectionsParts {
  readonly directory: ConnectionDirectory;
  /** This node; undefined until it knows its Redis. */
  readonly holder: () => Holder | undefined;
  readonly nodeName: () => string;
  readonly rooms: RoomMembership;
  readonly recovery: ConnectionRecovery;
  /** The methods that connections serve. */
  readonly methods: {
    /** Throws METHOD_EXISTS and the like where these cannot be registered. */
    assertRegistrable(methods: readonly string[]): void;
    register(method: string, connection: Connection): void;
    unregisterAll(connection: Connection): void;
  };
  readonly clock: Clock;
  readonly leaseMs: number;
  readonly graceMs: number;
  readonly maxConnections: number;
  readonly deliveries: DeliveryLimits;
  readonly observer: ConnectionObserver;
}

const DEFAULT_TYPE = "client";
/** Unit: UTF-16 code units. */
const MAX_TYPE_LENGTH = 64;
const MAX_FINGERPRINT_LENGTH = 256;

/** The connections that this node holds: it opens and resumes them, keeps their leases, and lets those go whose clients do not come back. */
export class HeldConnections {
  readonly #parts: HeldConnectionsParts;
  readonly #held = new Map<string, Connection>();
  /** What ends the grace time of those whose client is away. */
  readonly #graces = new Map<string, () => void>();
  /** Those that came from another node and have not been brought into their rooms here. */
  readonly #homeless = new Set<Connection>();
  #opening = 0;
  #taken: (() => void) | undefined;
  #stopRenewing: (() => void) | undefined;

  constructor(parts: HeldConnectionsParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#held.size;
  }

  /** Connections whose clients are there. */
  get attached(): number {
    return this.#held.size - this.#graces.size;
  }

  /** Connections whose clients are away. */
  get away(): number {
    return this.#graces.size;
  }

  get(connectionId: string): Connection | undefined {
    return this.#held.get(connectionId);
  }

  start(): void {
    const { clock, leaseMs } = this.#parts;
    this.#stopRenewing = clock.every(leaseMs / 3, () => {
      for (const connection of this.#held.values()) void this.#renew(connection);
    });
  }

  /** Resolves once `count` connections more are held elsewhere, or when the time is over. */
  whenTaken(count: number, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let left = count;
    this.#taken = () => --left === 0 && resolve();
    this.#parts.clock.after(timeoutMs, resolve);
    return promise;
  }

  /** Ends every stream; the clients may resume their connections on other nodes. */
  close(reason: string): void {
    this.#stopRenewing?.();
    for (const end of this.#graces.values()) end();
    for (const { link } of this.#held.values()) link?.close(new Fault("UNAVAILABLE", reason));
    this.#held.clear();
    this.#graces.clear();
  }

  /** Opens a connection over the link, or resumes one. Rejects with a Fault, and then the link serves nothing. */
  async open(
    request: OpenConnectionRequest,
    link: ClientLink,
    context: CallContext,
  ): Promise<{ readonly connection: Connection; readonly response: OpenConnectionResponse }> {
    const { maxConnections, graceMs, nodeName, observer } = this.#parts;
    if (this.#held.size + this.#opening >= maxConnections) {
      throw new Fault("RESOURCE_EXHAUSTED", `this node holds ${maxConnections} connections already (maxConnections)`);
    }
    this.#parts.methods.assertRegistrable(request.methods);
    this.#opening++;
    try {
      const resumed = request.resumeToken !== "";
      const { connection, token } = resumed
        ? await this.#resume(request, link, context)
        : await this.#openNew(request, link);
      observer.opened(resumed ? "resumed" : "new");
      const details = connection.details(nodeName());
      return { connection, response: { details, resumeToken: token, resumeGraceMs: graceMs, resumed } };
    } finally {
      this.#opening--;
    }
  }

  /** The connection's stream was lost: it waits for its client. */
  detach(connection: Connection, link: ClientLink): void {
    if (connection.link !== link || this.#held.get(connection.id) !== connection) return;
    const { clock, graceMs } = this.#parts;
    connection.detach();
    this.#graces.set(
      connection.id,
      clock.after(graceMs, () => void this.end(connection, "expired")),
    );
  }

  /** Ends a connection for good: it leaves its rooms, and nobody can resume it. Never rejects. */
  async end(connection: Connection, reason: ClosedBecause): Promise<void> {
    if (!this.#drop(connection, reason)) return;
    const { rooms, directory, holder } = this.#parts;
    connection.link?.close(reason === "quit" ? undefined : new Fault("CANCELLED", `the connection was ${reason}`));
    await rooms.leaveAll(connection.id, [...connection.rooms]);
    const runId = holder()?.runId;
    // Where Redis is away, the record goes with its lease.
    if (runId !== undefined) await directory.remove(connection.id, runId).catch(() => undefined);
  }

  /** Writes what another node must know if this one is lost. Rejects with UNAVAILABLE or UNKNOWN_CONNECTION. */
  async persist(connection: Connection): Promise<void> {
    if (await this.#parts.directory.put(this.#recordOf(connection))) return;
    this.#lose(connection);
    throw new Fault("UNKNOWN_CONNECTION", `connection ${connection.id} was resumed on another node`);
  }

  /**
   * Another node has this connection's client: takes its encoded TakeOverConnectionRequest, answers the encoded response. Throws UNKNOWN_CONNECTION where the connection is
   * not held here, and UNAUTHENTICATED where the token is not its own.
   */
  handOver(body: Uint8Array): Uint8Array {
    const { connectionId, tokenHash, receivedSequence } = decodeRequest(takeOverRequest.decode, body);
    const connection = this.#held.get(connectionId);
    if (!connection) throw new Fault("UNKNOWN_CONNECTION", `connection ${connectionId} is not held here`);
    if (Buffer.from(tokenHash).toString("hex") !== connection.tokenHash) throw invalidToken();
    connection.log.resume(receivedSequence);
    const details = connection.details(this.#parts.nodeName());
    const { lastSequence } = connection.log;
    this.#lose(connection);
    const deliveries = connection.log.behind(receivedSequence);
    return takeOverResponse.encode({ details, lastSequence, deliveries });
  }

  async #openNew(request: OpenConnectionRequest, link: ClientLink): Promise<Opened> {
    const { type, fingerprint } = request;
    if (type.length > MAX_TYPE_LENGTH || fingerprint.length > MAX_FINGERPRINT_LENGTH) {
      const text = `the type of a connection has ${MAX_TYPE_LENGTH} characters at most, its fingerprint ${MAX_FINGERPRINT_LENGTH}`;
      throw new Fault("INVALID_ARGUMENT", text);
    }
    const id = newConnectionId();
    const { token, hash } = newResumeToken(id);
    const origin = {
      id,
      type: type || DEFAULT_TYPE,
      fingerprint: fingerprint || id,
      connectedAtMs: Date.now(),
    };
    const connection = new Connection(origin, hash, new DeliveryLog(this.#parts.deliveries));
    for (const [key, value] of request.params) setValue(connection.params, key, value);
    connection.attach(link);
    await this.#parts.directory.put(this.#recordOf(connection));
    this.#hold(connection, request.methods);
    return { connection, token };
  }

  async #resume(request: OpenConnectionRequest, link: ClientLink, context: CallContext): Promise<Opened> {
    const { recovery, directory } = this.#parts;
    const found = await recovery.recordOf(request.resumeToken);
    const { id } = found.details;
    const here = this.#held.get(id);
    const connection = here ?? (await recovery.fetch(found, request.receivedSequence, context));
    const { token, hash } = newResumeToken(id);
    // Before anything of it is changed here: of two clients with the same token one is refused.
    const record = { ...this.#recordOf(connection), tokenHash: hash };
    if (!(await directory.claim(found.tokenHash, record))) throw invalidToken();
    const previous = connection.link;
    connection.tokenHash = hash;
    connection.attach(link);
    previous?.close(new Fault("CANCELLED", "the connection was resumed on another stream"));
    if (here) connection.log.resume(request.receivedSequence);
    this.#graces.get(id)?.();
    this.#graces.delete(id);
    this.#hold(connection, request.methods);
    if (!here) await connection.inTurn(() => this.#enterRooms(connection));
    return { connection, token };
  }

  #hold(connection: Connection, methods: readonly string[]): void {
    this.#held.set(connection.id, connection);
    this.#parts.methods.unregisterAll(connection);
    for (const method of methods) this.#parts.methods.register(method, connection);
  }

  /** Where Redis is away it is done with the lease's renewal: the client has its new token already, and cannot be refused any more. */
  async #enterRooms(connection: Connection): Promise<void> {
    this.#homeless.add(connection);
    try {
      const rooms = await this.#parts.rooms.adopt(connection.id, [...connection.rooms]);
      connection.rooms.clear();
      for (const room of rooms) connection.rooms.add(room);
      this.#homeless.delete(connection);
    } catch {
      // See above.
    }
  }

  #recordOf(connection: Connection): ConnectionRecord {
    const holder = this.#parts.holder();
    if (!holder) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return { holder, tokenHash: connection.tokenHash, details: connection.details(this.#parts.nodeName()) };
  }

  async #renew(connection: Connection): Promise<void> {
    const { directory, holder } = this.#parts;
    const runId = holder()?.runId;
    if (runId === undefined) return;
    try {
      const answer = await directory.renew(connection.id, runId);
      if (answer === "missing" && this.#held.get(connection.id) === connection) await this.persist(connection);
      if (answer === "taken") this.#lose(connection);
      if (answer !== "taken" && this.#homeless.has(connection))
        await connection.inTurn(() => this.#enterRooms(connection));
    } catch {
      // Redis is away: the next round tries again, and a record that is lost by then is written anew.
    }
  }

  /** It is held elsewhere now. */
  #lose(connection: Connection): void {
    if (!this.#drop(connection, "taken-over")) return;
    connection.link?.close(new Fault("CANCELLED", "the connection was resumed on another node"));
  }

  #drop(connection: Connection, reason: ClosedBecause): boolean {
    if (this.#held.get(connection.id) !== connection) return false;
    this.#held.delete(connection.id);
    this.#graces.get(connection.id)?.();
    this.#graces.delete(connection.id);
    this.#homeless.delete(connection);
    this.#parts.methods.unregisterAll(connection);
    this.#parts.observer.closed(reason);
    if (reason === "taken-over") this.#taken?.();
    return true;
  }
}

interface Opened {
  readonly connection: Connection;
  readonly token: string;
}
