import { type CallContext, nestedContext } from "../base/call-context.ts";
import { systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { Apply } from "../connections/apply.ts";
import type { ClientCall, Connection } from "../connections/connection.ts";
import type { ConnectionDirectory, Holder } from "../connections/connection-directory.ts";
import { ConnectionHandover } from "../connections/connection-handover.ts";
import { ConnectionLeases } from "../connections/connection-leases.ts";
import { ConnectionLocator } from "../connections/connection-locator.ts";
import { ConnectionOpening } from "../connections/connection-opening.ts";
import { ConnectionOperations } from "../connections/connection-operations.ts";
import { ConnectionRecovery } from "../connections/connection-recovery.ts";
import { type ConnectionObserver, HeldConnections } from "../connections/held-connections.ts";
import type { RoomMembership } from "../connections/room-membership.ts";
import { takeOverRequest, takeOverResponse } from "../connections/session-codec.ts";
import { Verbs } from "../connections/verbs.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { Peer } from "../mesh/method.ts";
import { METHOD } from "../mesh/method.ts";
import type { MethodTable } from "../rpc/method-table.ts";
import type { Settings } from "./config/settings.ts";
import type { ConnectionProviders } from "./rpc-side.ts";

/** Longest that a node which holds a connection may take to hand it over, before its client gets it as the directory has it. Unit: ms. */
const TAKE_OVER_TIMEOUT_MS = 1000;

export interface ConnectionSideParts {
  readonly directory: ConnectionDirectory;
  readonly holder: () => Holder | undefined;
  readonly nodeName: () => string;
  readonly rooms: RoomMembership;
  readonly table: MethodTable;
  readonly providers: ConnectionProviders;
  readonly mesh: () => Mesh;
  /** Runs a method of a connection that is held here; resolves with the encoded payload. */
  readonly runMethod: (connectionId: string, call: ClientCall, context: CallContext) => Promise<Uint8Array>;
  readonly observer: ConnectionObserver;
}

/** The connections of clients, and what can be done with them. */
export interface ConnectionSide {
  readonly held: HeldConnections;
  readonly leases: ConnectionLeases;
  readonly opening: ConnectionOpening;
  readonly handover: ConnectionHandover;
  readonly locator: ConnectionLocator;
  readonly apply: Apply;
  readonly verbs: Verbs;
  readonly methods: {
    assertRegistrable(methods: readonly string[]): void;
    register(method: string, connection: Connection): void;
    unregister(method: string, connection: Connection): void;
    unregisterAll(connection: Connection): void;
  };
}

export function createConnectionSide(settings: Settings, parts: ConnectionSideParts): ConnectionSide {
  const { directory, holder, nodeName, rooms, table, providers, mesh, runMethod, observer } = parts;
  const peerAt = (nodeId: string): Peer => {
    const peer = mesh().peer(nodeId);
    if (!peer) throw new Fault("UNAVAILABLE", "no link to the node that holds the connection");
    return peer;
  };
  const assertFree = (method: string): void => {
    if (operations.has(method)) throw new Fault("METHOD_EXISTS", `every connection has ${method}`);
  };
  const methods: ConnectionSide["methods"] = {
    assertRegistrable(names) {
      names.forEach(assertFree);
      table.assertRegistrable(names);
    },
    register(method, connection) {
      assertFree(method);
      table.register(method, providers.of(connection));
    },
    unregister: (method, connection) => table.unregister(method, providers.of(connection)),
    unregisterAll: (connection) => table.unregisterAll(providers.of(connection)),
  };
  const deliveries = { maxCount: settings.maxWaitingDeliveries, maxBytes: settings.maxWaitingDeliveryBytes };
  const recovery = new ConnectionRecovery({
    directory,
    holder,
    async takeOver(nodeId, request, context) {
      const bounded = nestedContext(context, TAKE_OVER_TIMEOUT_MS);
      const body = takeOverRequest.encode(request);
      if (nodeId === holder()?.nodeId) return takeOverResponse.decode(handover.fromPeer(body));
      return takeOverResponse.decode(await peerAt(nodeId).request(METHOD.TAKE_OVER_CONNECTION, body, bounded));
    },
    deliveries,
  });
  const held = new HeldConnections({
    directory,
    holder,
    nodeName,
    rooms,
    methods,
    clock: systemClock,
    graceMs: settings.resumeGraceMs,
    observer,
  });
  const leases = new ConnectionLeases({
    held,
    directory,
    holder,
    rooms,
    clock: systemClock,
    leaseMs: settings.connectionLeaseMs,
  });
  const opening = new ConnectionOpening({
    held,
    leases,
    recovery,
    directory,
    nodeName,
    assertRegistrable: methods.assertRegistrable,
    deliveries,
    graceMs: settings.resumeGraceMs,
    maxConnections: settings.maxConnections,
    observer,
  });
  const operations = new ConnectionOperations({ held, rooms });
  const locator = new ConnectionLocator({
    directory,
    isHeldHere: (id) => held.get(id) !== undefined,
    isLeaving: (nodeId) => mesh().isAway(nodeId),
  });
  const apply: Apply = new Apply({
    held,
    locator,
    operations,
    nodeName,
    askHolder: async (nodeId, body, context) =>
      nodeId === holder()?.nodeId
        ? apply.fromPeer(body, context)
        : peerAt(nodeId).request(METHOD.APPLY_HELD, body, context),
    runMethod(connection, call, context) {
      if (table.has(call.method, providers.of(connection))) return runMethod(connection.id, call, context);
      const text = `connection ${connection.id} has not registered method ${call.method}`;
      return Promise.reject(new Fault("UNKNOWN_METHOD", text));
    },
    rpcTimeoutMs: settings.rpcTimeoutMs,
  });
  const verbs = new Verbs({ held, operations, rooms, nodeName });
  const handover = new ConnectionHandover({
    held,
    nodeName,
    clock: systemClock,
    maxBytes: settings.maxMessageBytes,
  });
  return { held, leases, opening, handover, locator, apply, verbs, methods };
}
