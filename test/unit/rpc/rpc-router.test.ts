import test from "ava";
import { type CallContext, NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import { WireWriter } from "../../../src/base/wire.ts";
import { rpcCallRequest, rpcCallResponse, runMethodResponse } from "../../../src/rpc/rpc-codec.ts";
import type { RpcNode } from "../../../src/rpc/rpc-nodes.ts";
import { RpcRouter } from "../../../src/rpc/rpc-router.ts";

const TEN_MB = 10_000_000;

function setup(...nodes: readonly [RpcNode, ...RpcNode[]]) {
  const refused: string[] = [];
  const elsewhere = () => Promise.reject(new Error("not in these tests"));
  const router = new RpcRouter({
    nodes: { here: nodes[0], all: () => nodes, byName: () => undefined, atHolder: elsewhere, atOwner: elsewhere },
    rpcTimeoutMs: 1000,
    isForAdmins: (method) => method === "for.admins",
    refused: () => refused.push("refused"),
  });
  const context = { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 0 };
  const call = (...args: readonly Uint8Array[]) => callAs({}, "m", args);
  const callAs = (caller: Pick<CallContext, "isAdmin">, method: string, args: readonly Uint8Array[] = [], wait = 0) =>
    router.fromClient(rpcCallRequest.encode({ method, args, target: undefined, wait, timeoutMs: 0 }), {
      ...context,
      ...caller,
    });
  return { call, callAs, refused };
}

function answering(name: string): RpcNode {
  return { name, run: async () => runMethodResponse.encode({ result: encodePayload("1"), node: name }) };
}

function failing(name: string, text: string): RpcNode {
  return { name, run: () => Promise.reject(new Fault("METHOD_FAILED", text)) };
}

test("the text that a method failed with is cut within the replies of all nodes, too", async (t) => {
  const { call } = setup(failing("a", "x".repeat(TEN_MB)), failing("b", "short"), answering("c"));
  const { replies } = rpcCallResponse.decode(await call());
  const texts = new Map(replies.map(({ node, fault }) => [node, fault?.message]));
  t.is(texts.get("a")?.length, 8192);
  t.is(texts.get("b"), "short");
  t.is(texts.get("c"), undefined);
});

test("arguments that are no payloads are refused, text that is not UTF-8 among them, and too many of them", async (t) => {
  const { call } = setup(answering("a"));
  const one = encodePayload("1");
  const notUtf8 = new WireWriter().bytes(2, Buffer.from([0x22, 0xff, 0x22])).finish();
  const deep = encodePayload("[".repeat(513) + "]".repeat(513));
  for (const args of [[one, notUtf8], [deep], [Buffer.alloc(0)], Array.from({ length: 4097 }, () => one)]) {
    const fault = await t.throwsAsync(call(...args), { instanceOf: Fault });
    t.is(fault?.code, "INVALID_ARGUMENT");
  }
  t.is(rpcCallResponse.decode(await call(one)).nodes, 1);
});

test("what is for admins is refused to all others before any node is asked, whatever they wait for", async (t) => {
  let asked = 0;
  const node: RpcNode = {
    name: "a",
    run: async () => {
      asked++;
      return runMethodResponse.encode({ result: encodePayload("1"), node: "a" });
    },
  };
  const { callAs, refused } = setup(node);
  for (const caller of [{}, { isAdmin: false }, { isAdmin: undefined }]) {
    for (const wait of [0, 1, 2, 3]) {
      const fault = await t.throwsAsync(callAs(caller, "for.admins", [], wait), { instanceOf: Fault });
      t.is(fault?.code, "PERMISSION_DENIED");
    }
  }
  t.is(refused.length, 12);
  t.is(asked, 0);
  await callAs({ isAdmin: true }, "for.admins");
  await callAs({}, "m");
  t.is(asked, 2);
  t.is(refused.length, 12);
});
