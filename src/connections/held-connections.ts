import type { CallContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { within } from "../base/within.ts";
import type { ClientCall, ClientLink, Connection } from "./connection.ts";
import type { ConnectionDirectory, ConnectionRecord, Holder } from "./connection-directory.ts";
import type { RoomMembership } from "./room-membership.ts";

/** Told what happens, for the metrics. */
export interface ConnectionObserver {
  opened(kind: "new" | "resumed"): void;
  closed(reason: ClosedBecause): void;
}

/** Why a connection is not held here any more. */
export type ClosedBecause = "quit" | "destroyed" | "expired" | "taken-over";

export interface HeldConnectionsParts {
  readonly directory: Pick<ConnectionDirectory, "put" | "remove">;
  /** This node; undefined until it knows its Redis. */
  readonly holder: () => Holder | undefined;
  readonly nodeName: () => string;
  readonly rooms: Pick<RoomMembership, "leaveAll" | "forget">;
  /** The methods that connections serve. */
  readonly methods: {
    register(method: string, connection: Connection): void;
    unregisterAll(connection: Connection): void;
  };
  readonly clock: Clock;
  /** Unit: ms. */
  readonly graceMs: number;
  readonly observer: ConnectionObserver;
}

/** The connections that this node holds, from when they come until they end or another node has them. */
export class HeldConnections {
  readonly #parts: HeldConnectionsParts;
  readonly #held = new Map<string, Connection>();
  /** What ends the grace time of those whose client is away. */
  readonly #graces = new Map<string, () => void>();
  /** Connections that have ended and whose records could not be removed yet: nobody may resume them. By id, with the hash of their tokens. */
  readonly #unremoved = new Map<string, string>();
  #taken: (() => void) | undefined;
  /** While this node hands its connections over: until it has done so. */
  #handingOver: Promise<void> | undefined;

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

  /** What is kept for clients until they have it, of all connections. */
  get deliveries(): number {
    return this.#held.values().reduce((sum, { log }) => sum + log.size, 0);
  }

  get(connectionId: string): Connection | undefined {
    return this.#held.get(connectionId);
  }

  isHeld(connection: Connection): boolean {
    return this.#held.get(connection.id) === connection;
  }

  /** Whether it has ended here, although its record is still there. */
  hasEnded(connectionId: string): boolean {
    return this.#unremoved.has(connectionId);
  }

  values(): Iterable<Connection> {
    return this.#held.values();
  }

  /** The connection is this node's from now on, with its client. Only these methods are its own. */
  hold(connection: Connection, methods: readonly string[]): void {
    const { id } = connection;
    this.#graces.get(id)?.();
    this.#graces.delete(id);
    this.#held.set(id, connection);
    this.#parts.methods.unregisterAll(connection);
    for (const method of methods) this.#parts.methods.register(method, connection);
  }

  /** The connection's stream was lost: it waits for its client. */
  detach(connection: Connection, link: ClientLink): void {
    if (connection.link !== link || !this.isHeld(connection)) return;
    const { clock, graceMs } = this.#parts;
    connection.detach();
    this.#graces.set(
      connection.id,
      clock.after(graceMs, () => void this.end(connection, "expired")),
    );
  }

  /**
   * Does one thing after the other with a connection. Rejects with UNKNOWN_CONNECTION, and nothing was done, where it is not held here any more when its turn comes, and
   * likewise with DEADLINE_EXCEEDED or CANCELLED.
   */
  inTurn<T>(connection: Connection, context: CallContext, action: () => Promise<T>): Promise<T> {
    return connection.inTurn(() => {
      this.#assertHeld(connection);
      if (context.signal.aborted) throw new Fault("CANCELLED", "the caller cancelled before it was done");
      if (remainingMs(context.deadline) === 0)
        throw new Fault("DEADLINE_EXCEEDED", "the deadline passed before it was done");
      return action();
    });
  }

  /** Writes what another node must know if this one is lost; in the connection's turn. Rejects with UNAVAILABLE, INDETERMINATE or UNKNOWN_CONNECTION. */
  async persist(connection: Connection): Promise<void> {
    this.#assertHeld(connection);
    connection.isUnwritten = true;
    if (!(await this.#parts.directory.put(this.recordOf(connection)))) {
      this.lose(connection);
      throw new Fault("UNKNOWN_CONNECTION", `connection ${connection.id} was resumed on another node`);
    }
    connection.isUnwritten = false;
  }

  /** Writes what is still to be written. Rejects as `persist` does. */
  async catchUp(connection: Connection): Promise<void> {
    if (connection.isUnwritten) await this.persist(connection);
  }

  /** Throws UNAVAILABLE as long as this node does not know its Redis. */
  self(): Holder {
    const self = this.#parts.holder();
    if (!self) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return self;
  }

  /** Throws as `self` does. */
  recordOf(connection: Connection): ConnectionRecord {
    const { nodeName } = this.#parts;
    return { holder: this.self(), tokenHash: connection.tokenHash, details: connection.details(nodeName()) };
  }

  /** Ends a connection for good: nobody can resume it, and it leaves its rooms. Never rejects. */
  async end(connection: Connection, reason: Exclude<ClosedBecause, "taken-over">): Promise<void> {
    if (!this.#drop(connection, reason)) return;
    connection.hasEnded = true;
    // Before its client knows, who would try to resume it.
    this.#unremoved.set(connection.id, connection.tokenHash);
    await this.#remove(connection.id, connection.tokenHash);
    this.#release(connection, reason === "quit" ? undefined : new Fault("CANCELLED", `the connection was ${reason}`));
    await this.#parts.rooms.leaveAll(connection.id, [...connection.rooms]);
  }

  /** Tries again to remove the records of those that have ended. Never rejects. */
  async removeEnded(): Promise<void> {
    for (const [id, tokenHash] of this.#unremoved) await this.#remove(id, tokenHash);
  }

  /** The connection is held elsewhere now. */
  lose(connection: Connection): void {
    if (!this.#drop(connection, "taken-over")) return;
    this.#parts.rooms.forget(connection.id);
    this.#release(connection, new Fault("CANCELLED", "the connection was resumed on another node"));
    this.#taken?.();
  }

  /**
   * Has a connection's client run a method that it has registered. Once this node hands its connections over no client is asked for anything new: rejects with UNKNOWN_CONNECTION as soon as
   * another node has the connection, so that whoever asks goes on there, and with UNAVAILABLE where none has come to have it.
   */
  async invoke(connection: Connection, call: ClientCall, context: CallContext): Promise<Uint8Array> {
    if (this.#handingOver !== undefined) {
      await within(context, Promise.race([connection.gone, this.#handingOver]));
      this.#assertHeld(connection);
    }
    return connection.invoke(call, context);
  }

  /** This node hands its connections over until `done`. */
  handOver(done: Promise<void>): void {
    this.#handingOver = done;
  }

  /** Resolves once `count` connections more are held elsewhere. */
  whenTaken(count: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    let left = count;
    this.#taken = () => --left === 0 && resolve();
    if (left === 0) resolve();
    return promise;
  }

  /** Ends every stream; the clients may resume their connections on other nodes. */
  close(reason: string): void {
    for (const end of this.#graces.values()) end();
    for (const connection of this.#held.values()) this.#release(connection, new Fault("UNAVAILABLE", reason));
    this.#held.clear();
    this.#graces.clear();
  }

  #assertHeld(connection: Connection): void {
    if (this.isHeld(connection)) return;
    throw new Fault("UNKNOWN_CONNECTION", `connection ${connection.id} is not held here any more`);
  }

  /** It is not asked to serve anything any more, also where it still answers what it owes. */
  #release(connection: Connection, fault?: Fault): void {
    const { link } = connection;
    connection.detach();
    link?.close(fault);
  }

  /** Where Redis is away it is tried again with the leases' next renewal. */
  async #remove(connectionId: string, tokenHash: string): Promise<void> {
    const runId = this.#parts.holder()?.runId;
    if (runId === undefined) return;
    await this.#parts.directory.remove(connectionId, runId, tokenHash).then(
      () => this.#unremoved.delete(connectionId),
      () => undefined,
    );
  }

  #drop(connection: Connection, reason: ClosedBecause): boolean {
    if (!this.isHeld(connection)) return false;
    this.#held.delete(connection.id);
    this.#graces.get(connection.id)?.();
    this.#graces.delete(connection.id);
    this.#parts.methods.unregisterAll(connection);
    connection.dropped();
    this.#parts.observer.closed(reason);
    return true;
  }
}
