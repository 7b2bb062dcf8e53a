import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { ClientCall, Connection } from "../connections/connection.ts";
import type { ConnectionLocator } from "../connections/connection-locator.ts";
import type { HeldConnections } from "../connections/held-connections.ts";
import { assertAnswerable, confirmOwner } from "../functions/answerable.ts";
import type { Shards } from "../functions/shards.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { MethodProvider, MethodTable } from "../rpc/method-table.ts";
import { type MethodObserver, NodeMethods } from "../rpc/node-methods.ts";
import { runMethodResponse } from "../rpc/rpc-codec.ts";
import { RpcRouter } from "../rpc/rpc-router.ts";
import type { Settings } from "./config/settings.ts";
import { MeshRpcNodes } from "./rpc-nodes.ts";

export interface RpcSideParts {
  readonly table: MethodTable;
  readonly providers: ConnectionProviders;
  readonly held: HeldConnections;
  readonly locator: ConnectionLocator;
  readonly shards: Shards;
  readonly mesh: () => Mesh;
  readonly nodeName: () => string;
  readonly observer: MethodObserver;
  /** See RpcRouterParts. */
  readonly refused: () => void;
}

/** RPC: what runs here, and what is asked of other nodes. */
export interface RpcSide {
  readonly methods: NodeMethods;
  readonly router: RpcRouter;
  /** Runs a method that a connection which is held here has registered; resolves with the encoded payload. */
  ofConnection(connectionId: string, call: ClientCall, context: CallContext): Promise<Uint8Array>;
}

export function createRpcSide(settings: Settings, parts: RpcSideParts): RpcSide {
  const { table, providers, held, shards, nodeName, observer, refused } = parts;
  const methods = new NodeMethods({
    table,
    nodeName,
    ofConnection(connectionId, method) {
      const connection = held.get(connectionId);
      if (!connection) throw new Fault("UNKNOWN_CONNECTION", `no connection ${connectionId} is open here`);
      const provider = providers.of(connection);
      if (!table.has(method, provider)) return undefined;
      return (call, context) => held.invoke(connection, call, context);
    },
    async assertOwner(slot) {
      const routed = { slot, asking: false };
      await confirmOwner(shards, routed);
      assertAnswerable(shards, "method", routed);
    },
    maxResultBytes: settings.maxResultBytes,
    observer,
  });
  const router = new RpcRouter({
    nodes: new MeshRpcNodes({ ...parts, methods }),
    rpcTimeoutMs: settings.rpcTimeoutMs,
    isForAdmins: (method) => table.isForAdmins(method),
    refused,
  });
  return {
    methods,
    router,
    async ofConnection(connectionId, call, context) {
      const response = await methods.run({ ...call, connectionId, slotPlusOne: 0 }, context);
      return runMethodResponse.decode(response).result;
    },
  };
}

/** Each connection as one who serves methods. */
export class ConnectionProviders {
  readonly #providers = new WeakMap<Connection, MethodProvider>();

  of(connection: Connection): MethodProvider {
    const known = this.#providers.get(connection);
    if (known) return known;
    const provider: MethodProvider = {
      get isPresent() {
        return connection.isPresent;
      },
      run: (call, context) => connection.invoke(call, context),
    };
    this.#providers.set(connection, provider);
    return provider;
  }
}
