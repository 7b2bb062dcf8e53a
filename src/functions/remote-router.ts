import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { deadlineIn, earlier } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import { atOwner, type Place } from "./at-owner.ts";
import { decodeRequest } from "./decode-request.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import {
  decodeRunRemoteRequest,
  decodeRunRemoteResponse,
  encodeRunRemoteRequest,
  encodeRunRemoteResponse,
  type RunRemoteRequest,
} from "./remote-codec.ts";
import type { RemoteCall, RemoteCalls, ShardOutcome } from "./sandbox-port.ts";
import type { ShardRunner } from "./shard-runner.ts";
import { knownTopology, type Shards } from "./shards.ts";

export interface RemoteRouterParts {
  readonly runner: ShardRunner;
  readonly registry: LibraryRegistry;
  readonly shards: Shards;
  /** remote-task-default-timeout: the longest that a remote call without a time of its own may take. Unit: ms. */
  readonly remoteTimeoutMs: number;
}

/** Takes remote calls from a run to the shards they are meant for, this one included, and brings the answers back. */
export class RemoteRouter implements RemoteCalls {
  readonly #parts: RemoteRouterParts;

  constructor(parts: RemoteRouterParts) {
    this.#parts = parts;
  }

  async runOnKey(call: RemoteCall, key: Uint8Array): Promise<Uint8Array> {
    const { shards } = this.#parts;
    const slot = shards.slotOf(key);
    const context = this.#contextOf(call);
    try {
      // Remote functions only read: they may run again wherever the slot is by then.
      return await atOwner(shards, slot, context, (place) => this.#runOn(place, call, context, slot));
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "DEADLINE_EXCEEDED") throw fault;
      throw new Fault("DEADLINE_EXCEEDED", "Remote task timeout", { cause: fault });
    }
  }

  async runOnShards(call: RemoteCall): Promise<readonly ShardOutcome[]> {
    const topology = knownTopology(this.#parts.shards);
    // A master without slots holds no data and may not have a coordinator yet.
    const shards = topology.shards.filter((shard) => shard.slots.length > 0);
    return Promise.all(shards.map((shard) => this.#outcomeOn(shard, topology, call)));
  }

  /** A remote call that came over a link: takes an encoded RunRemoteRequest, resolves with the encoded response. */
  async fromPeer(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const request = decodeRequest(decodeRunRemoteRequest, body);
    return encodeRunRemoteResponse(await this.#parts.runner.remote(request, context));
  }

  async #outcomeOn(shard: Shard, topology: Topology, call: RemoteCall): Promise<ShardOutcome> {
    try {
      return {
        ok: true,
        payload: await this.#runOn({ shard, topology, asking: false }, call, this.#contextOf(call), undefined),
      };
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      const reason = code === "DEADLINE_EXCEEDED" ? "Timeout" : message;
      return { ok: false, error: `shard ${formatAddress(shard.address)}: ${reason}` };
    }
  }

  async #runOn(
    { shard, topology, asking }: Place,
    call: RemoteCall,
    context: CallContext,
    slot: Slot | undefined,
  ): Promise<Uint8Array> {
    const request: RunRemoteRequest = {
      library: this.#parts.registry.pinned(call.hash)?.source.name ?? "",
      hash: call.hash,
      function: call.remoteFunction,
      args: call.args,
      slot,
      asking,
    };
    if (shard.id === topology.selfShard) return this.#parts.runner.remote(request, context);
    const peer = this.#parts.shards.peer(shard.id);
    if (!peer) throw new Fault("UNAVAILABLE", `no link to the coordinator of shard ${formatAddress(shard.address)}`);
    return decodeRunRemoteResponse(await peer.request("runRemote", encodeRunRemoteRequest(request), context));
  }

  #contextOf({ context, timeoutMs = this.#parts.remoteTimeoutMs }: RemoteCall): CallContext {
    return {
      deadline: earlier(context.deadline, deadlineIn(timeoutMs)),
      signal: context.signal,
      depth: context.depth + 1,
    };
  }
}
