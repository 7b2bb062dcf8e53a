import type { CallContext } from "../base/call-context.ts";
import type { RunMethodRequest } from "./rpc-codec.ts";

/** A coordinator that can be asked to run a method; this one is one of them. */
export interface RpcNode {
  /** What it goes by; its address where it has not said that yet. */
  readonly name: string;
  /** Resolves with the encoded RunMethodResponse. Rejects with the method's fault; UNAVAILABLE where the node cannot be reached, INDETERMINATE where it was lost meanwhile. */
  run(request: RunMethodRequest, context: CallContext): Promise<Uint8Array>;
}

/** The nodes of the cluster, as RPC needs to find them. */
export interface RpcNodes {
  /** This one. */
  readonly here: RpcNode;
  /** Every node, this one included. One that cannot be reached is among them where it should be there. */
  all(): readonly RpcNode[];
  byName(name: string): RpcNode | undefined;
  /**
   * Makes the attempt at the node that holds the connection, and once more where it has moved meanwhile. Rejects with UNKNOWN_CONNECTION where nobody holds it, and
   * UNAVAILABLE where its holder cannot be reached.
   */
  atHolder<T>(connectionId: string, context: CallContext, attempt: (node: RpcNode) => Promise<T>): Promise<T>;
  /** Makes the attempt at the owner of the key's slot, and again elsewhere where that answers MOVED. */
  atOwner<T>(key: Uint8Array, context: CallContext, attempt: (node: RpcNode, slot: number) => Promise<T>): Promise<T>;
}
