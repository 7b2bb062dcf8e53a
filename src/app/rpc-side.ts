import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { ClientCall, Connection } from "../connections/connection.ts";
import type { ConnectionLocator } from "../connections/connection-locator.ts";
import type { HeldConnections } from "../connections/held-connections.ts";
import { assertAnswerable, confirmOwner } from "../functions/answerable.ts";
import { atOwner } from "../functions/at-owner.ts";
import type { Shards } from "../functions/shards.ts";
import type { Mesh, MeshNode } from "../mesh/mesh.ts";
import { METHOD } from "../mesh/method.ts";
import type { Method, MethodProvider, MethodTable } from "../rpc/method-table.ts";
import { type MethodObserver, NodeMethods } from "../rpc/node-methods.ts";
import { runMethodRequest, runMethodResponse } from "../rpc/rpc-codec.ts";
import type { RpcNode, RpcNodes } from "../rpc/rpc-nodes.ts";
import { RpcRouter } from "../rpc/rpc-router.ts";
import type { Settings } from "./config/settings.ts";

export interface RpcSideParts {
  readonly table: MethodTable;
  readonly providers: ConnectionProviders;
  readonly held: HeldConnections;
  readonly locator: ConnectionLocator;
  readonly shards: Shards;
  readonly mesh: () => Mesh;
  readonly nodeName: () => string;
  readonly observer: MethodObserver;
}

/** RPC: what runs here, and what is asked of other nodes. */
export interface RpcSide {
  readonly methods: NodeMethods;
  readonly router: RpcRouter;
  /** Runs a method that a connection which is held here has registered; resolves with the encoded payload. */
  ofConnection(connectionId: string, call: ClientCall, context: CallContext): Promise<Uint8Array>;
}

export function createRpcSide(settings: Settings, parts: RpcSideParts): RpcSide {
  const { table, providers, held, shards, nodeName, observer } = parts;
  const methods = new NodeMethods({
    table,
    nodeName,
    ofConnection(connectionId, method) {
      const connection = held.get(connectionId);
      if (!connection) throw new Fault("UNKNOWN_CONNECTION", `no connection ${connectionId} is open here`);
      const provider = providers.of(connection);
      return table.has(method, provider) ? provider.run : undefined;
    },
    async assertOwner(slot) {
      const routed = { slot, asking: false };
      await confirmOwner(shards, routed);
      assertAnswerable(shards, "method", routed);
    },
    maxResultBytes: settings.maxResultBytes,
    observer,
  });
  const router = new RpcRouter({ nodes: rpcNodes(methods, parts), rpcTimeoutMs: settings.rpcTimeoutMs });
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
    const run: Method = (call, context) => connection.invoke(call, context);
    const provider: MethodProvider = {
      get isPresent() {
        return connection.link !== undefined;
      },
      run,
    };
    this.#providers.set(connection, provider);
    return provider;
  }
}

function rpcNodes(methods: NodeMethods, { shards, locator, mesh, nodeName }: RpcSideParts): RpcNodes {
  const here: RpcNode = {
    get name() {
      return nodeName();
    },
    run: (request, context) => methods.run(request, context),
  };
  const remote = ({ nodeId, name, peer }: MeshNode): RpcNode => {
    const shownName = name ?? addressOf(shards, nodeId);
    return {
      name: shownName,
      run(request, context) {
        if (!peer) return Promise.reject(new Fault("UNAVAILABLE", `no link to ${shownName}`));
        return peer.request(METHOD.RUN_METHOD, request.encoded ?? runMethodRequest.encode(request), context);
      },
    };
  };
  const byId = (nodeId: string): RpcNode => {
    const node = mesh()
      .nodes()
      .find((each) => each.nodeId === nodeId);
    return remote(node ?? { nodeId, name: undefined, peer: undefined });
  };
  return {
    here,
    all() {
      const nodes = [here];
      for (const node of mesh().nodes()) {
        // A replica need not have a coordinator beside it, but a master should.
        if (node.peer !== undefined || isMaster(shards, node.nodeId)) nodes.push(remote(node));
      }
      return nodes;
    },
    byName(name) {
      if (name === nodeName()) return here;
      const node = mesh()
        .nodes()
        .find((each) => each.name === name);
      return node && remote(node);
    },
    atHolder: (connectionId, context, attempt) =>
      locator.atHolder(connectionId, context, (holder) => attempt(holder === "here" ? here : byId(holder.nodeId))),
    async atOwner<T>(key: Uint8Array, context: CallContext, attempt: (node: RpcNode, slot: number) => Promise<T>) {
      const slot = shards.slotOf(key);
      return atOwner(shards, slot, context, ({ shard, topology }) =>
        attempt(shard.id === topology.self ? here : byId(shard.id), slot),
      );
    },
  };
}

function isMaster(shards: Shards, nodeId: string): boolean {
  return shards.topology()?.shards.some(({ id }) => id === nodeId) ?? false;
}

function addressOf(shards: Shards, nodeId: string): string {
  const topology = shards.topology();
  const node = [...(topology?.shards ?? []), ...(topology?.replicas ?? [])].find(({ id }) => id === nodeId);
  return node ? `the coordinator beside ${formatAddress(node.address)}` : nodeId;
}
