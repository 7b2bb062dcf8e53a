import { type CallContext, NEVER_ABORTED, nestedContext } from "../base/call-context.ts";
import type { Clock } from "../base/clock.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { METHOD, type Peer } from "../mesh/method.ts";
import { sharedHooks } from "../rooms/room-codec.ts";
import type { RoomHook, RoomHooks } from "../rooms/room-ports.ts";
import type { MethodTable } from "../rpc/method-table.ts";
import type { NodeMethods } from "../rpc/node-methods.ts";
import { runMethodRequest, runMethodResponse } from "../rpc/rpc-codec.ts";

const HOOKS: readonly RoomHook[] = ["room.join", "room.leave", "room.say", "room.onSayReceive"];

/** How often nodes tell each other which hooks they have, changed or not. Unit: ms. */
const SHARE_PERIOD_MS = 1000;
/** How often it is looked whether there is something to tell. Unit: ms. */
const LOOK_PERIOD_MS = 100;
/** Longest that a peer may take for it. Unit: ms. */
const SHARE_TIMEOUT_MS = 1000;
/** A node that was not heard of for so long has no hooks any more. Until then they cannot be asked, and what they would be asked about does not happen. Unit: ms. */
const FORGET_MS = 10_000;

export interface RoomHookProvidersParts {
  readonly table: MethodTable;
  readonly methods: () => Pick<NodeMethods, "run">;
  readonly mesh: () => Pick<Mesh, "nodeIds" | "peer">;
  readonly nodeName: () => string;
  readonly nodeId: () => string | undefined;
  readonly clock: Clock;
  /** Longest that a hook may take. Unit: ms. */
  readonly timeoutMs: number;
}

interface RemoteHooks {
  readonly hooks: ReadonlySet<string>;
  readonly heardAtMs: number;
}

/**
 * Hooks are methods: of libraries, which every node has, and of connected clients, which one node has. So that a hook is asked wherever somebody joins or says something, nodes tell
 * each other which ones their clients serve.
 */
export class RoomHookProviders implements RoomHooks {
  readonly #parts: RoomHookProvidersParts;
  /** By node id; those alone that have some. */
  readonly #remote = new Map<string, RemoteHooks>();
  #stop: (() => void) | undefined;
  #isStopped = false;
  #sharedAtMs = Number.NEGATIVE_INFINITY;
  /** What was told last, and to whom. */
  #shared = "";
  /** Whose turn it is. */
  #turn = 0;

  constructor(parts: RoomHookProvidersParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock } = this.#parts;
    this.#stop = clock.every(LOOK_PERIOD_MS, () => {
      if (clock.now() - this.#sharedAtMs >= SHARE_PERIOD_MS) void this.share();
      else void this.shareChanges();
    });
  }

  /** From now on nobody else asks here. */
  stop(): void {
    this.#stop?.();
    this.#isStopped = true;
    void this.share();
  }

  isProvided(hook: RoomHook): boolean {
    return this.#parts.table.mayKnow(hook) || (this.#remote.size > 0 && this.#nodesWith(hook).length > 0);
  }

  /** One here is asked rather than one elsewhere; those elsewhere take turns. */
  async call(hook: RoomHook, args: readonly Uint8Array[], context: CallContext): Promise<Uint8Array | undefined> {
    const { table, methods, nodeName, timeoutMs } = this.#parts;
    const bounded = nestedContext(context, timeoutMs);
    const request = { method: hook, args, caller: nodeName(), connectionId: "", slotPlusOne: 0 };
    const encoded = runMethodRequest.encode(request);
    const attempts: (() => Promise<Uint8Array>)[] = [];
    // Where a library may provide it that is not loaded here yet, nothing passes unasked.
    if (table.mayKnow(hook)) attempts.push(() => methods().run({ ...request, encoded }, bounded));
    const nodeIds = this.#nodesWith(hook);
    const first = this.#turn++;
    for (let i = 0; i < nodeIds.length; i++) {
      const nodeId = nodeIds[(first + i) % nodeIds.length] ?? "";
      attempts.push(() => this.#ask(nodeId, hook, encoded, bounded));
    }
    const answer = await firstThatServes(attempts);
    return answer && runMethodResponse.decode(answer).result;
  }

  /** Tells every peer which hooks there are here, and learns theirs. Resolves once they have answered, or the time for it is over; never rejects. */
  async share(): Promise<void> {
    this.#shared = this.#state();
    this.#sharedAtMs = this.#parts.clock.now();
    const body = sharedHooks.encode({ hooks: this.#here(), nodeId: this.#parts.nodeId() ?? "" });
    const context = { deadline: deadlineIn(SHARE_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
    await Promise.all(this.#linked().map(({ nodeId, peer }) => this.#shareWith(nodeId, peer, body, context)));
  }

  /** As `share`, where something has changed since. */
  async shareChanges(): Promise<void> {
    if (this.#state() !== this.#shared) await this.share();
  }

  /** Takes an encoded ShareRoomHooksRequest, resolves with the encoded response. */
  async fromPeer(body: Uint8Array): Promise<Uint8Array> {
    const { hooks, nodeId } = decodeRequest(sharedHooks.decode, body);
    this.#learn(nodeId, hooks);
    return sharedHooks.encode({ hooks: this.#here(), nodeId: "" });
  }

  async #shareWith(nodeId: string, peer: Peer, body: Uint8Array, context: CallContext): Promise<void> {
    try {
      const answer = await peer.request(METHOD.SHARE_ROOM_HOOKS, body, context);
      this.#learn(nodeId, sharedHooks.decode(answer).hooks);
    } catch {
      // One that is away is told when it is back; an older one knows of no hooks.
    }
  }

  #learn(nodeId: string, hooks: readonly string[]): void {
    if (hooks.length === 0) this.#remote.delete(nodeId);
    else this.#remote.set(nodeId, { hooks: new Set(hooks), heardAtMs: this.#parts.clock.now() });
  }

  async #ask(nodeId: string, hook: RoomHook, body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const peer = this.#parts.mesh().peer(nodeId);
    if (!peer) throw new Fault("UNAVAILABLE", `no link to the node that has hook ${hook}`);
    try {
      return await peer.request(METHOD.RUN_METHOD, body, context);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code === "UNKNOWN_METHOD") this.#forget(nodeId, hook);
      throw fault;
    }
  }

  #forget(nodeId: string, hook: RoomHook): void {
    const { hooks = new Set<string>() } = this.#remote.get(nodeId) ?? {};
    this.#learn(
      nodeId,
      [...hooks].filter((each) => each !== hook),
    );
  }

  #nodesWith(hook: RoomHook): string[] {
    const oldestMs = this.#parts.clock.now() - FORGET_MS;
    const found: string[] = [];
    for (const [nodeId, { hooks, heardAtMs }] of this.#remote) {
      if (heardAtMs < oldestMs) this.#remote.delete(nodeId);
      else if (hooks.has(hook)) found.push(nodeId);
    }
    return found;
  }

  /** What the others are told. */
  #here(): RoomHook[] {
    return this.#isStopped ? [] : HOOKS.filter((hook) => this.#parts.table.knows(hook));
  }

  #linked(): { readonly nodeId: string; readonly peer: Peer }[] {
    const mesh = this.#parts.mesh();
    return [...mesh.nodeIds()].flatMap((nodeId) => {
      const peer = mesh.peer(nodeId);
      return peer ? [{ nodeId, peer }] : [];
    });
  }

  /** What there is to tell, and whom. */
  #state(): string {
    return [...this.#here(), ...this.#linked().map(({ nodeId }) => nodeId)].join(" ");
  }
}

/** Undefined where nobody serves it any more. Rejects as the last one does that could not be asked, or as the first that was. */
async function firstThatServes(attempts: readonly (() => Promise<Uint8Array>)[]): Promise<Uint8Array | undefined> {
  let away: Fault | undefined;
  for (const attempt of attempts) {
    try {
      return await attempt();
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code === "UNAVAILABLE") away = fault;
      else if (fault.code !== "UNKNOWN_METHOD") throw fault;
    }
  }
  if (away) throw away;
  return undefined;
}
