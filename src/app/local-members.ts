import { type JsonValue, jsonOf } from "../base/json-payload.ts";
import type { Connection } from "../connections/connection.ts";
import type { HeldConnections } from "../connections/held-connections.ts";
import type { LocalMembers } from "../rooms/room-ports.ts";

/** The connections of this node, as its rooms know them. */
export function createLocalMembers(held: () => HeldConnections, nodeName: () => string): LocalMembers {
  const heldOf = (connectionId: string): Connection | undefined => held().get(connectionId);
  return {
    held: heldOf,
    async inTurn(connectionId, action) {
      const connection = heldOf(connectionId);
      await connection?.inTurn(async () => {
        if (heldOf(connectionId) === connection) await action();
      });
    },
    deliver(connectionId, content) {
      const connection = heldOf(connectionId);
      connection?.deliver(content);
      return connection !== undefined;
    },
    describe(connectionId) {
      const connection = heldOf(connectionId);
      return connection && sanitised(connection, nodeName());
    },
    removed(connectionId, room) {
      const connection = heldOf(connectionId);
      if (!connection?.rooms.delete(room)) return;
      // So that it is not looked for where the connection is resumed: another room may have its name by then. Where Redis is away, it is written with the next renewal.
      connection.isUnwritten = true;
      connection.inTurn(() => held().catchUp(connection)).catch(() => undefined);
    },
  };
}

/** What hooks may know of a connection: not who its client is, nor where. */
function sanitised(connection: Connection, node: string): JsonValue {
  const { id, type, connectedAtMs, rooms, attributes, params } = connection.details(node);
  return {
    id,
    type,
    connectedAt: connectedAtMs,
    node,
    rooms,
    attributes: jsonOf(attributes),
    params: jsonOf(params),
  };
}
