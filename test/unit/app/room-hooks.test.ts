import test from "ava";
import { RoomHookProviders } from "../../../src/app/room-hooks.ts";
import { type CallContext, NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { METHOD, type Peer } from "../../../src/mesh/method.ts";
import type { RoomHook } from "../../../src/rooms/room-ports.ts";
import { type Method, MethodTable } from "../../../src/rpc/method-table.ts";
import { NodeMethods } from "../../../src/rpc/node-methods.ts";
import { faultOf } from "../../support/fault-of.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const CONTEXT: CallContext = { deadline: deadlineIn(10_000), signal: NEVER_ABORTED, depth: 0 };

interface Node {
  readonly hooks: RoomHookProviders;
  readonly table: MethodTable;
  isLinked: boolean;
  /** What becomes of a method that only a library could have, which has not been loaded here yet; undefined: all are. */
  missing: (() => Promise<Uint8Array>) | undefined;
  /** Somebody connected serves the hook from now on, with its name and how often it was asked. Returns what ends that. */
  serve(hook: RoomHook, run?: Method): () => void;
}

/** Nodes that reach each other as long as they are linked. */
function network(count: number): { readonly nodes: Node[]; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const nodes: Node[] = [];
  const methodsOf: NodeMethods[] = [];
  for (let n = 0; n < count; n++) {
    const table = new MethodTable(new Map(), {
      has: () => false,
      mayHaveMore: () => nodes[n]?.missing !== undefined,
      run: () => nodes[n]?.missing?.() ?? Promise.reject(new Error("none")),
    });
    const methods = new NodeMethods({
      table,
      nodeName: () => `node ${n}`,
      ofConnection: () => undefined,
      assertOwner: () => Promise.resolve(),
      maxResultBytes: 1000,
      observer: { started: () => undefined, ended: () => undefined },
    });
    const peerOf = (other: number): Peer => ({
      nodeId: String(other),
      request: async (method, body, context) => {
        const node = nodes[other] as Node;
        if (!node.isLinked) throw new Fault("UNAVAILABLE", "not linked");
        return method === METHOD.SHARE_ROOM_HOOKS
          ? node.hooks.fromPeer(body)
          : (methodsOf[other]?.fromPeer(body, context) ?? body);
      },
    });
    methodsOf[n] = methods;
    const others = () => [...nodes.keys()].filter((index) => index !== n).map(String);
    const hooks = new RoomHookProviders({
      table,
      methods: () => methods,
      mesh: () => ({
        nodeIds: others,
        peer: (nodeId) => (nodes[Number(nodeId)]?.isLinked ? peerOf(Number(nodeId)) : undefined),
      }),
      nodeName: () => `node ${n}`,
      nodeId: () => String(n),
      clock,
      timeoutMs: 1000,
    });
    const serve = (hook: RoomHook, run: Method = async ({ args }) => args[0] ?? payloadOf(`node ${n}`)) => {
      const provider = { isPresent: true, run };
      table.register(hook, provider);
      return () => table.unregisterAll(provider);
    };
    nodes.push({ hooks, table, isLinked: true, missing: undefined, serve });
  }
  return { nodes, clock };
}
async function asked(node: Node, hook: RoomHook): Promise<unknown> {
  const answer = await node.hooks.call(hook, [], CONTEXT);
  return answer && payloadValue(answer);
}

test("a hook that one node's client serves is asked by every node, once the others were told", async (t) => {
  const { nodes } = network(3);
  const [a, b, c] = nodes as [Node, Node, Node];
  const end = b.serve("room.join");
  t.true(b.hooks.isProvided("room.join"));
  t.false(a.hooks.isProvided("room.join"));
  await b.hooks.shareChanges();
  for (const node of nodes) {
    t.true(node.hooks.isProvided("room.join"));
    t.false(node.hooks.isProvided("room.say"));
    t.is(await asked(node, "room.join"), "node 1");
  }
  end();
  await b.hooks.shareChanges();
  for (const node of [a, b, c]) t.false(node.hooks.isProvided("room.join"));
  t.is(await asked(a, "room.join"), undefined);
});

test("before its libraries are loaded a node lets nothing pass that one of them may have a hook for", async (t) => {
  const [node] = network(1).nodes as [Node];
  node.missing = () => Promise.reject(new Fault("UNAVAILABLE", "the libraries cannot be known"));
  t.true(node.hooks.isProvided("room.join"));
  t.is((await faultOf(asked(node, "room.join"))).code, "UNAVAILABLE");
  node.missing = async () => payloadOf("of a library");
  t.is(await asked(node, "room.join"), "of a library");
  node.missing = () => Promise.reject(new Fault("UNKNOWN_METHOD", "Unknown method room.join"));
  t.is(await asked(node, "room.join"), undefined);
  node.missing = undefined;
  t.false(node.hooks.isProvided("room.join"));
});

test("one that starts learns the others' hooks by telling its own", async (t) => {
  const { nodes } = network(2);
  const [a, b] = nodes as [Node, Node];
  b.serve("room.say");
  await a.hooks.share();
  t.true(a.hooks.isProvided("room.say"));
});

test("who is here is asked first, and those elsewhere take turns", async (t) => {
  const { nodes } = network(3);
  const [a, b, c] = nodes as [Node, Node, Node];
  for (const node of [b, c]) {
    node.serve("room.join");
    await node.hooks.share();
  }
  const answers = new Set([await asked(a, "room.join"), await asked(a, "room.join")]);
  t.deepEqual([...answers].sort(), ["node 1", "node 2"]);
  for (let i = 0; i < 3; i++) t.is(await asked(b, "room.join"), "node 1");
});

test("where one cannot be asked another is, and where none can it is unavailable, until it is forgotten", async (t) => {
  const { nodes, clock } = network(3);
  const [a, b, c] = nodes as [Node, Node, Node];
  for (const node of [b, c]) {
    node.serve("room.join");
    await node.hooks.share();
  }
  b.isLinked = false;
  for (let i = 0; i < 4; i++) t.is(await asked(a, "room.join"), "node 2");
  c.isLinked = false;
  t.true(a.hooks.isProvided("room.join"));
  const fault = await t.throwsAsync(asked(a, "room.join"), { instanceOf: Fault });
  t.is(fault.code, "UNAVAILABLE");
  clock.advance(10_001);
  t.false(a.hooks.isProvided("room.join"));
  t.is(await asked(a, "room.join"), undefined);
});

test("one that has no such hook any more is not asked again", async (t) => {
  const { nodes } = network(2);
  const [a, b] = nodes as [Node, Node];
  const end = b.serve("room.join");
  await b.hooks.share();
  end();
  t.true(a.hooks.isProvided("room.join"));
  t.is(await asked(a, "room.join"), undefined);
  t.false(a.hooks.isProvided("room.join"));
});

test("a hook that refuses is asked once", async (t) => {
  const { nodes } = network(3);
  const [a, b, c] = nodes as [Node, Node, Node];
  let times = 0;
  for (const node of [b, c]) {
    node.serve("room.join", async () => {
      times++;
      throw new Fault("METHOD_FAILED", "no");
    });
    await node.hooks.share();
  }
  const fault = await t.throwsAsync(asked(a, "room.join"), { instanceOf: Fault });
  t.is(fault.code, "METHOD_FAILED");
  t.is(times, 1);
});

test("changes are told at the next look, and everything once a second", async (t) => {
  const { nodes, clock } = network(2);
  const [a, b] = nodes as [Node, Node];
  b.hooks.start();
  clock.advance(100);
  b.serve("room.leave");
  clock.advance(100);
  await new Promise(setImmediate);
  t.true(a.hooks.isProvided("room.leave"));
  for (let i = 0; i < 15; i++) {
    clock.advance(1000);
    await new Promise(setImmediate);
  }
  t.true(a.hooks.isProvided("room.leave"), "it was heard of all the time");
  b.hooks.stop();
  await new Promise(setImmediate);
  t.false(a.hooks.isProvided("room.leave"));
  t.is(clock.timers, 0);
});
