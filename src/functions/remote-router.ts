import { formatAddress } from "../base/address.ts";
import { nextAttempt } from "../base/attempts.ts";
import { type CallContext, nestedContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { Shard, Slot, Topology } from "../topology/topology.ts";
import { atOwner, type Place } from "./at-owner.ts";
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
import { knownTopology, ownerOf, type Shards } from "./shards.ts";

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
    const bounded = this.#boundedContext(call);
    try {
      const context = await this.#contextAt(ownerOf(knownTopology(shards), slot), call, bounded);
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
    const context = this.#boundedContext(call);
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
  async #runOnSnapshot(call: RemoteCall, bounded: CallContext): Promise<ShardsReply> {
    const { shards } = this.#parts;
    const topology = knownTopology(shards);
    // A master without slots holds no data and may not have a coordinator yet.
    const masters = topology.shards.filter(({ slots }) => slots.length > 0);
    const answers = await Promise.all(masters.map((shard) => this.#answerOf(shard, topology, call, bounded)));
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

  async #answerOf(shard: Shard, topology: Topology, call: RemoteCall, bounded: CallContext): Promise<Answer> {
    try {
      const context = await this.#contextAt(shard, call, bounded);
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
    const { shards } = this.#parts;
    const peer = shards.peer(shard.id) ?? (await shards.whenBack(shard.id, context));
    return decodeRunRemoteResponse(await peer.request("runRemote", encodeRunRemoteRequest(request), context));
  }

  #boundedContext({ context, timeoutMs = this.#parts.remoteTimeoutMs }: RemoteCall): CallContext {
    return nestedContext(context, timeoutMs);
  }

  /**
   * `bounded`, which holds for a shard that is there. The time that every remote call has is less than a restart takes: where the shard's coordinator is restarted it begins once that
   * is back, for which the run's own time counts. A call that names a time of its own means it.
   */
  async #contextAt({ id }: Shard, { context, timeoutMs }: RemoteCall, bounded: CallContext): Promise<CallContext> {
    const { shards, remoteTimeoutMs } = this.#parts;
    if (timeoutMs !== undefined || id === shards.topology()?.selfShard || shards.peer(id)) return bounded;
    await shards.whenBack(id, context);
    return nestedContext(context, remoteTimeoutMs);
  }
}
