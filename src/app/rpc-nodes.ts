import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { ConnectionLocator } from "../connections/connection-locator.ts";
import { atOwner } from "../functions/at-owner.ts";
import type { Shards } from "../functions/shards.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { METHOD } from "../mesh/method.ts";
import type { NodeMethods } from "../rpc/node-methods.ts";
import { type RunMethodRequest, runMethodRequest } from "../rpc/rpc-codec.ts";
import type { RpcNode, RpcNodes } from "../rpc/rpc-nodes.ts";

export interface MeshRpcNodesParts {
  readonly methods: NodeMethods;
  readonly locator: ConnectionLocator;
  readonly shards: Shards;
  readonly mesh: () => Mesh;
  readonly nodeName: () => string;
}

/** A cluster has 1000 masters at most, and its nodes come and go. */
const MAX_OTHERS = 4096;

/** The nodes that this one has links to, and itself. */
export class MeshRpcNodes implements RpcNodes {
  readonly here: RpcNode;
  readonly #parts: MeshRpcNodesParts;
  /** By node id, also of some that have left the cluster. */
  readonly #others = new Map<string, RemoteNode>();

  constructor(parts: MeshRpcNodesParts) {
    const { methods, nodeName } = parts;
    this.#parts = parts;
    this.here = {
      get name() {
        return nodeName();
      },
      run: (request, context) => methods.run(request, context),
    };
  }

  all(): readonly RpcNode[] {
    const mesh = this.#parts.mesh();
    const nodes = [this.here];
    for (const nodeId of mesh.nodeIds()) {
      // A replica need not have a coordinator beside it, but a master should.
      if (mesh.peer(nodeId) !== undefined || this.#isMaster(nodeId)) nodes.push(this.#byId(nodeId));
    }
    return nodes;
  }

  byName(name: string): RpcNode | undefined {
    if (name === this.here.name) return this.here;
    const mesh = this.#parts.mesh();
    for (const nodeId of mesh.nodeIds()) if (mesh.nodeName(nodeId) === name) return this.#byId(nodeId);
    return undefined;
  }

  atHolder<T>(connectionId: string, context: CallContext, attempt: (node: RpcNode) => Promise<T>): Promise<T> {
    const { locator, mesh, shards } = this.#parts;
    return locator.atHolder(connectionId, context, async (holder) => {
      if (holder === "here" || holder.nodeId === shards.topology()?.self) return attempt(this.here);
      const node = this.#byId(holder.nodeId);
      // Its connections do not wait for it, they go to other nodes.
      if (mesh().isAway(holder.nodeId)) throw new Fault("UNAVAILABLE", `${node.name} has left`);
      return attempt(node);
    });
  }

  async atOwner<T>(
    key: Uint8Array,
    context: CallContext,
    attempt: (node: RpcNode, slot: number) => Promise<T>,
  ): Promise<T> {
    const { shards } = this.#parts;
    const slot = shards.slotOf(key);
    return atOwner(shards, slot, context, ({ shard, topology }) =>
      attempt(shard.id === topology.self ? this.here : this.#byId(shard.id), slot),
    );
  }

  #byId(nodeId: string): RemoteNode {
    let node = this.#others.get(nodeId);
    if (!node) {
      if (this.#others.size >= MAX_OTHERS) this.#others.clear();
      node = new RemoteNode(nodeId, this.#parts);
      this.#others.set(nodeId, node);
    }
    return node;
  }

  #isMaster(nodeId: string): boolean {
    return this.#parts.shards.topology()?.shards.some(({ id }) => id === nodeId) ?? false;
  }
}

/** Another coordinator, over the link to it. */
class RemoteNode implements RpcNode {
  readonly #nodeId: string;
  readonly #parts: MeshRpcNodesParts;

  constructor(nodeId: string, parts: MeshRpcNodesParts) {
    this.#nodeId = nodeId;
    this.#parts = parts;
  }

  get name(): string {
    return this.#parts.mesh().nodeName(this.#nodeId) ?? this.#address();
  }

  async run(request: RunMethodRequest, context: CallContext): Promise<Uint8Array> {
    const mesh = this.#parts.mesh();
    const peer = mesh.servingPeer(this.#nodeId) ?? (await mesh.whenBack(this.#nodeId, context));
    return peer.request(METHOD.RUN_METHOD, request.encoded ?? runMethodRequest.encode(request), context);
  }

  #address(): string {
    const topology = this.#parts.shards.topology();
    const nodes = [...(topology?.shards ?? []), ...(topology?.replicas ?? [])];
    const node = nodes.find(({ id }) => id === this.#nodeId);
    return node ? `the coordinator beside ${formatAddress(node.address)}` : this.#nodeId;
  }
}
