import { formatAddress } from "../base/address.ts";
import { type CallContext, nestedContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import { atOwner, type Place } from "./at-owner.ts";
import { nextAttempt } from "./attempts.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import {
  decodeRunRemoteRequest,
  decodeRunRemoteResponse,
  encodeRunRemoteRequest,
  encodeRunRemoteResponse,
  type RunRemoteRequest,
  type RunRemoteResponse,
} from "./remote-codec.ts";
import type { RemoteCall, RemoteCalls, ShardOutcome, ShardsReply } from "./sandbox-port.ts";
import type { ShardRunner } from "./shard-runner.ts";
import { knownTopology, type Shards } from "./shards.ts";

export interface RemoteRouterParts {
  readonly runner: ShardRunner;
  readonly registry: LibraryRegistry;
  readonly shards: Shards;
  /** remote-task-default-timeout: the longest that a remote call without a time of its own may take. Unit: ms. */
  readonly remoteTimeoutMs: number;
}

interface Answer {
  readonly outcome: ShardOutcome;
  readonly topologyDiffers: boolean;
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
      const { payload } = await atOwner(shards, slot, context, (place) => this.#runOn(place, call, context, slot));
      return payload;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "DEADLINE_EXCEEDED") throw fault;
      throw new Fault("DEADLINE_EXCEEDED", "Remote task timeout", { cause: fault });
    }
  }

  async runOnShards(call: RemoteCall): Promise<ShardsReply> {
    const context = this.#contextOf(call);
    for (let changes = 0; ; changes++) {
      const reply = await this.#runOnSnapshot(call, context);
      if (!reply.snapshot.hasChanged || !call.rerunOnChange) return reply;
      if (!(await nextAttempt(context, changes))) return reply;
    }
  }

  /** A remote call that came over a link: takes an encoded RunRemoteRequest, resolves with the encoded response. */
  async fromPeer(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const request = decodeRequest(decodeRunRemoteRequest, body);
    const payload = await this.#parts.runner.remote(request, context);
    const { topologyHash } = request;
    const topologyDiffers = topologyHash !== "" && topologyHash !== this.#parts.shards.topology()?.hash;
    return encodeRunRemoteResponse({ payload, topologyDiffers });
  }

  /** One attempt at the masters of one topology. */
  async #runOnSnapshot(call: RemoteCall, context: CallContext): Promise<ShardsReply> {
    const { shards } = this.#parts;
    const topology = knownTopology(shards);
    // A master without slots holds no data and may not have a coordinator yet.
    const masters = topology.shards.filter(({ slots }) => slots.length > 0);
    const answers = await Promise.all(masters.map((shard) => this.#answerOf(shard, topology, call, context)));
    const hasChanged =
      topology.hash !== shards.topology()?.hash || answers.some(({ topologyDiffers }) => topologyDiffers);
    return {
      snapshot: {
        version: topology.version,
        masters: masters.map(({ address }) => formatAddress(address)),
        hasChanged,
      },
      outcomes: answers.map(({ outcome }) => outcome),
    };
  }

  async #answerOf(shard: Shard, topology: Topology, call: RemoteCall, context: CallContext): Promise<Answer> {
    try {
      const place = { shard, topology, asking: false };
      const { payload, topologyDiffers } = await this.#runOn(place, call, context, undefined);
      return { outcome: { ok: true, payload }, topologyDiffers };
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      const reason = code === "DEADLINE_EXCEEDED" ? "Timeout" : message;
      const error = `shard ${formatAddress(shard.address)}: ${reason}`;
      return { outcome: { ok: false, error }, topologyDiffers: false };
    }
  }

  async #runOn(
    { shard, topology, asking }: Place,
    call: RemoteCall,
    context: CallContext,
    slot: Slot | undefined,
  ): Promise<RunRemoteResponse> {
    const request: RunRemoteRequest = {
      library: this.#parts.registry.pinned(call.hash)?.source.name ?? "",
      hash: call.hash,
      function: call.remoteFunction,
      args: call.args,
      slot,
      asking,
      topologyHash: slot === undefined ? topology.hash : "",
    };
    if (shard.id === topology.selfShard) {
      return { payload: await this.#parts.runner.remote(request, context), topologyDiffers: false };
    }
    const peer = this.#parts.shards.peer(shard.id);
    if (!peer) throw new Fault("UNAVAILABLE", `no link to the coordinator of shard ${formatAddress(shard.address)}`);
    return decodeRunRemoteResponse(await peer.request("runRemote", encodeRunRemoteRequest(request), context));
  }

  #contextOf({ context, timeoutMs = this.#parts.remoteTimeoutMs }: RemoteCall): CallContext {
    return nestedContext(context, timeoutMs);
  }
}
