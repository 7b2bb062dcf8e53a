import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload, type JsonValue, jsonOf, payloadOf, payloadValue } from "../base/json-payload.ts";
import { type Connection, setValue } from "./connection.ts";
import { type ConnectionOperations, textOf } from "./connection-operations.ts";
import type { HeldConnections } from "./held-connections.ts";
import type { RoomMembership } from "./room-membership.ts";
import type { VerbRequest } from "./session-codec.ts";

export interface VerbsParts {
  readonly held: HeldConnections;
  readonly operations: ConnectionOperations;
  readonly rooms: RoomMembership;
  readonly nodeName: () => string;
}

/** Takes encoded payloads, resolves with what the client gets. */
type Verb = (connection: Connection, args: readonly Uint8Array[], context: CallContext) => Promise<unknown>;

/** What a client says on its own connection. */
export class Verbs {
  readonly #parts: VerbsParts;
  readonly #byName: ReadonlyMap<string, Verb> = new Map<string, Verb>([
    ["roomAdd", (...call) => this.#operate("joinRoom", ...call)],
    ["roomLeave", (...call) => this.#operate("leaveRoom", ...call)],
    ["roomView", (_connection, args, context) => this.#parts.rooms.view(textOf(args[0], "roomView(room)"), context)],
    ["say", (...call) => this.#say(...call)],
    ["detailsView", async (connection) => this.#detailsOf(connection)],
    ["paramAdd", (...call) => this.#paramAdd(...call)],
    ["paramView", async ({ params }, args) => paramOf(params, args)],
    ["paramDelete", (...call) => this.#paramDelete(...call)],
    ["quit", (connection) => this.#parts.held.end(connection, "quit")],
  ]);

  constructor(parts: VerbsParts) {
    this.#parts = parts;
  }

  /** Resolves with the encoded payload. Rejects with INVALID_ARGUMENT for a verb that is none. */
  async run(connection: Connection, { verb, args }: VerbRequest, context: CallContext): Promise<Uint8Array> {
    const run = this.#byName.get(verb);
    if (!run) {
      const verbs = [...this.#byName.keys()].join(", ");
      throw new Fault("INVALID_ARGUMENT", `there is no verb ${verb}; these are: ${verbs}`);
    }
    args.forEach(checkPayload);
    return payloadOf(await run(connection, args, context));
  }

  async #operate(operation: string, ...[connection, args, context]: Parameters<Verb>): Promise<void> {
    await this.#parts.operations.run(operation, connection, args, context);
  }

  /** Begun in its turn, so that what a client says arrives in the order it said it; what comes next need not wait until it has. */
  async #say(connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const [room, message] = [textOf(args[0], "say(room, message)"), args[1]];
    if (room === "" || message === undefined) {
      throw new Fault("INVALID_ARGUMENT", "both room and message are required");
    }
    const { held, rooms } = this.#parts;
    const { said } = await held.inTurn(connection, context, async () => ({
      said: rooms.say(connection.id, room, message, context),
    }));
    await said;
  }

  #detailsOf(connection: Connection): JsonValue {
    const { attributes, params, ...details } = connection.details(this.#parts.nodeName());
    return { ...details, attributes: jsonOf(attributes), params: jsonOf(params) };
  }

  #paramAdd(connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const key = textOf(args[0], "paramAdd(key, value)");
    return this.#parts.held.inTurn(connection, context, async () => {
      setValue(connection.params, key, args[1] ?? payloadOf(null));
      await this.#parts.held.persist(connection);
    });
  }

  #paramDelete(connection: Connection, args: readonly Uint8Array[], context: CallContext): Promise<void> {
    const key = textOf(args[0], "paramDelete(key)");
    return this.#parts.held.inTurn(connection, context, async () => {
      connection.params.delete(key);
      await this.#parts.held.persist(connection);
    });
  }
}

/** One param, or all of them where none is named. */
function paramOf(params: ReadonlyMap<string, Uint8Array>, args: readonly Uint8Array[]): JsonValue | Uint8Array {
  const key = textOf(args[0], "paramView(key)");
  if (key === "") return jsonOf(params);
  const value = params.get(key);
  return value ? payloadValue(value) : null;
}
