import type { CallContext } from "../base/call-context.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { payloadOf, payloadValue } from "../base/json-payload.ts";
import { type Connection, setValue } from "./connection.ts";
import type { HeldConnections } from "./held-connections.ts";
import type { RoomMembership } from "./room-membership.ts";
import { delivery } from "./session-codec.ts";

export interface ConnectionOperationsParts {
  readonly held: HeldConnections;
  readonly rooms: RoomMembership;
}

/** `args`: encoded payloads. */
type Operation = (connection: Connection, args: readonly Uint8Array[], context: CallContext) => Promise<void>;

/** What can be done to every connection, by name; the names are not for methods that clients register. */
export class ConnectionOperations {
  readonly #parts: ConnectionOperationsParts;
  readonly #byName = new Map<string, Operation>([
    ["set", (connection, args) => this.#set(connection, args)],
    ["sendMessage", async (connection, args) => this.#sendMessage(connection, args)],
    ["joinRoom", (connection, args, context) => this.#joinRoom(connection, args, context)],
    ["leaveRoom", (connection, args, context) => this.#leaveRoom(connection, args, context)],
    ["destroy", (connection) => this.#parts.held.end(connection, "destroyed")],
  ]);

  constructor(parts: ConnectionOperationsParts) {
    this.#parts = parts;
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** One after the other for each connection. Rejects with a Fault, UNKNOWN_METHOD where there is no such operation. */
  run(name: string, connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const operation = this.#byName.get(name);
    if (!operation) return Promise.reject(new Fault("UNKNOWN_METHOD", `there is no operation ${name}`));
    return this.#parts.held.inTurn(connection, context, () => operation(connection, args, context));
  }

  async #set(connection: Connection, args: readonly Uint8Array[]): Promise<void> {
    const key = textOf(args[0], "set(key, value)");
    const before = connection.attributes.get(key);
    setValue(connection.attributes, key, args[1] ?? payloadOf(null));
    try {
      await this.#parts.held.persist(connection);
    } catch (fault) {
      // Here it would be another value than where the connection is resumed.
      if (before) connection.attributes.set(key, before);
      else connection.attributes.delete(key);
      throw fault;
    }
  }

  #sendMessage(connection: Connection, [message]: readonly Uint8Array[]): void {
    if (!message) throw new Fault("INVALID_ARGUMENT", "use sendMessage(message)");
    const content = delivery.encode({ sequence: 0, message, roomMessage: undefined, missed: undefined });
    if (!connection.log.takes(content)) {
      const text = `a message of ${message.length} bytes is more than a connection keeps (maxWaitingDeliveryBytes)`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
    connection.deliver(content);
  }

  #joinRoom(connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const room = textOf(args[0], "joinRoom(room)");
    return this.#move(connection, async () => {
      await this.#parts.rooms.join(connection.id, room, context);
      connection.rooms.add(room);
    });
  }

  #leaveRoom(connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const room = textOf(args[0], "leaveRoom(room)");
    return this.#move(connection, async () => {
      await this.#parts.rooms.leave(connection.id, room, context);
      connection.rooms.delete(room);
    });
  }

  /**
   * Whatever is answered of the rooms that a connection is in has been written down, so that it holds where the connection is resumed; and a node that does not know yet that the
   * connection was resumed elsewhere learns of it, and answers nothing.
   */
  async #move(connection: Connection, move: () => Promise<void>): Promise<void> {
    const refusal = await move().then(() => undefined, Fault.from);
    if (refusal && !REFUSALS.has(refusal.code)) throw refusal;
    try {
      await this.#parts.held.persist(connection);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (refusal || fault.code !== "UNAVAILABLE") throw fault;
      // It is done, and would be undone if this node were lost before the next renewal.
      throw new Fault("INDETERMINATE", `it is done, and not written down yet: ${fault.message}`, { cause: fault });
    }
    if (refusal) throw refusal;
  }
}

/** What says which rooms a connection is in. */
const REFUSALS: ReadonlySet<FaultCode> = new Set<FaultCode>(["ALREADY_IN_ROOM", "NOT_IN_ROOM"]);

/** An argument that is a text, where a missing one is empty. Throws INVALID_ARGUMENT for any other. */
export function textOf(payload: Uint8Array | undefined, usage: string): string {
  const value = payload === undefined ? "" : payloadValue(payload);
  if (typeof value !== "string") throw new Fault("INVALID_ARGUMENT", `use ${usage}, with text`);
  return value;
}
