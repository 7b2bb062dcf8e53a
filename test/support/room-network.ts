import { type CallContext, NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { payloadOf } from "../../src/base/json-payload.ts";
import { decodePayload } from "../../src/base/payload.ts";
import { roomDelivery, roomMessage } from "../../src/rooms/room-codec.ts";
import { createRoomNode, type RoomNode } from "../../src/rooms/room-node.ts";
import type { RoomHook, RoomHooks, RoomPeer } from "../../src/rooms/room-ports.ts";
import { ManualClock } from "./manual-clock.ts";
import { MemoryRoomStore } from "./memory-room-store.ts";

export const LEASE_MS = 3000;
export const WATCH_PERIOD_MS = 500;

/** A message as its receiver has it. */
export interface Heard {
  readonly room: string;
  readonly from: string;
  readonly message: unknown;
  readonly context: string;
}

/** Hooks of a test: what each returns for its decoded arguments; a Fault that it throws refuses. */
export type TestHooks = Partial<Record<RoomHook, (...args: unknown[]) => unknown>>;

/** A node of a network in memory, with the connections it holds and what they heard. */
export interface TestNode extends RoomNode {
  readonly heard: Map<string, Heard[]>;
  readonly name: string;
  /** Rooms that were taken from connections. */
  readonly removed: string[];
  readonly hooks: TestHooks;
  /** Whether the others reach it. */
  isLinked: boolean;
  /** What is on its way to it arrives once this has resolved. */
  delay: Promise<void>;
  hold(...connectionIds: string[]): void;
}

export function testContext(): CallContext {
  return { deadline: deadlineIn(10_000), signal: NEVER_ABORTED, depth: 0 };
}

/** Nodes with rooms between them: one store, and links that deliver in order. */
export class RoomNetwork {
  readonly clock = new ManualClock(1_000_000);
  readonly store = new MemoryRoomStore(this.clock, LEASE_MS);
  readonly nodes: TestNode[] = [];

  constructor(count: number) {
    for (let n = 1; n <= count; n++) this.nodes.push(this.#node(n));
  }

  #node(n: number): TestNode {
    const self = { runId: `run-${n}`, nodeId: `node-${n}`, name: `gearmesh-${n}` };
    const heard = new Map<string, Heard[]>();
    const removed: string[] = [];
    const hooks: TestHooks = {};
    const node = createRoomNode({
      store: this.store,
      members: {
        held: (id) => heard.get(id),
        inTurn: async (id, action) => {
          if (heard.has(id)) await action();
        },
        deliver: (id, content) => heard.get(id)?.push(heardIn(content)) !== undefined,
        describe: (id) => (heard.has(id) ? { id, type: "test" } : undefined),
        removed: (id, room) => removed.push(`${id} ${room}`),
      },
      nodes: { peer: (nodeId) => this.#peer(nodeId) },
      hooks: hooksOf(hooks),
      self: () => self,
      clock: this.clock,
      leaseMs: LEASE_MS,
      watchPeriodMs: WATCH_PERIOD_MS,
      observer: { said: () => undefined, delivered: () => undefined },
      failed: () => undefined,
    });
    const hold = (...ids: string[]): void => {
      for (const id of ids) heard.set(id, []);
    };
    return { ...node, name: self.name, heard, removed, hooks, isLinked: true, delay: Promise.resolve(), hold };
  }

  #peer(nodeId: string): RoomPeer | undefined {
    const node = this.nodes[Number(nodeId.slice("node-".length)) - 1];
    if (!node?.isLinked) return undefined;
    return {
      request: async (what, body, context) => {
        await node.delay;
        return what === "deliver" ? node.delivery.fromPeer(body, context) : node.news.fromPeer(body);
      },
    };
  }
}

function heardIn(content: Uint8Array): Heard {
  const encoded = roomDelivery.decode(content).roomMessage;
  if (!encoded) throw new Error("no message of a room");
  const { room, from, message, context } = roomMessage.decode(encoded);
  return { room, from, message: message && read(message), context };
}

function read(payload: Uint8Array): unknown {
  const decoded = decodePayload(payload);
  return typeof decoded === "string" ? JSON.parse(decoded) : Buffer.from(decoded);
}

function hooksOf(hooks: TestHooks): RoomHooks {
  return {
    isProvided: (hook) => hooks[hook] !== undefined,
    async call(hook, args) {
      const provided = hooks[hook];
      if (!provided) return undefined;
      try {
        return payloadOf(await provided(...args.map(read)));
      } catch (error) {
        throw error instanceof Fault ? error : new Fault("METHOD_FAILED", (error as Error).message);
      }
    },
  };
}
