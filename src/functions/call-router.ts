import type { CallContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot } from "../topology/topology.ts";
import type { Routed } from "./answerable.ts";
import { atOwner, type Place } from "./at-owner.ts";
import { type CallRequest, decodeCallRequest, encodeCallResponse } from "./call-codec.ts";
import type { ShardRunner } from "./shard-runner.ts";
import { knownTopology, type PeerRequest, type Shards } from "./shards.ts";

/**
 * Where a call from outside goes. With keys it is forwarded to the coordinator of their shard, and on from here where they have moved; without any it
 * runs here. A coordinator that stands by forwards to its master's.
 */
export class CallRouter {
  readonly #runner: ShardRunner;
  readonly #shards: Shards;

  constructor(runner: ShardRunner, shards: Shards) {
    this.#runner = runner;
    this.#shards = shards;
  }

  /** A call from a client: takes an encoded CallRequest, resolves with the encoded CallResponse. */
  async fromClient(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const request = decodeRequest(decodeCallRequest, body);
    const slot = this.#slotOf(request);
    const runAt = ({ shard, topology, asking }: Place): Promise<Uint8Array> =>
      shard.id === topology.selfShard && this.#shards.isActive()
        ? this.#here(request, { slot, asking }, context)
        : this.#forward(shard, asking ? "askingCall" : "call", body, context);
    if (slot !== undefined) return atOwner(this.#shards, slot, context, runAt);
    const topology = knownTopology(this.#shards);
    const { ownShard } = topology;
    return ownShard
      ? runAt({ shard: ownShard, topology, asking: false })
      : this.#here(request, { slot, asking: false }, context);
  }

  /** A call that another coordinator forwarded: it runs here or fails with MOVED, so that it never goes round in a ring. */
  async fromPeer(body: Uint8Array, context: CallContext, { asking }: { asking: boolean }): Promise<Uint8Array> {
    const request = decodeRequest(decodeCallRequest, body);
    return this.#here(request, { slot: this.#slotOf(request), asking }, context);
  }

  async #here(request: CallRequest, routed: Routed, context: CallContext): Promise<Uint8Array> {
    return encodeCallResponse(await this.#runner.call(request, routed, context));
  }

  async #forward({ id }: Shard, what: PeerRequest, body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const peer = this.#shards.peer(id) ?? (await this.#shards.whenBack(id, context));
    return peer.request(what, body, context);
  }

  #slotOf(request: CallRequest): Slot | undefined {
    const [first, ...others] = request.keys;
    if (first === undefined) return undefined;
    const slot = this.#shards.slotOf(first);
    if (others.some((key) => this.#shards.slotOf(key) !== slot)) {
      throw new Fault("CROSSSLOT", "the call's keys lie in more than one slot; give them a common {hash tag}");
    }
    return slot;
  }
}
