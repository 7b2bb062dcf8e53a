import type { CallContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { ClientLink, Connection } from "./connection.ts";
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
  readonly rooms: Pick<RoomMembership, "leaveAll">;
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

  /** Writes what another node must know if this one is lost. Rejects with UNAVAILABLE or UNKNOWN_CONNECTION. */
  async persist(connection: Connection): Promise<void> {
    this.#assertHeld(connection);
    if (await this.#parts.directory.put(this.recordOf(connection))) return;
    this.lose(connection);
    throw new Fault("UNKNOWN_CONNECTION", `connection ${connection.id} was resumed on another node`);
  }

  /** Throws UNAVAILABLE as long as this node does not know its Redis. */
  recordOf(connection: Connection): ConnectionRecord {
    const { holder, nodeName } = this.#parts;
    const self = holder();
    if (!self) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return { holder: self, tokenHash: connection.tokenHash, details: connection.details(nodeName()) };
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
    this.#release(connection, new Fault("CANCELLED", "the connection was resumed on another node"));
    this.#taken?.();
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
    this.#parts.observer.closed(reason);
    return true;
  }
}
