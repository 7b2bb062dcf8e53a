import { Buffer } from "node:buffer";
import test from "ava";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import { eventually } from "../../support/eventually.ts";
import { faultText } from "../../support/fault-of.ts";
import { RoomNetwork, type TestNode, testContext } from "../../support/room-network.ts";

/** Three nodes; x and y are in room r, on the first and the second, and z is on the third. */
async function network(): Promise<[RoomNetwork, TestNode, TestNode, TestNode]> {
  const net = new RoomNetwork(3);
  const [a, b, c] = net.nodes as [TestNode, TestNode, TestNode];
  await a.rooms.add("r");
  for (const [node, id] of [
    [a, "x"],
    [b, "y"],
    [c, "z"],
  ] as const) {
    node.hold(id);
  }
  await a.members.join("x", "r", testContext());
  await b.members.join("y", "r", testContext());
  return [net, a, b, c];
}

function say(node: TestNode, from: string, room: string, message: unknown) {
  return node.speech.say(from, room, payloadOf(message), testContext());
}

test("what is said reaches every member once, the one who says it too, and nobody else", async (t) => {
  const [, a, b, c] = await network();
  t.deepEqual(await say(a, "x", "r", { hello: 1 }), { nodes: 2, receivers: 2 });
  const heard = [{ room: "r", from: "x", message: { hello: 1 }, context: "user" }];
  t.deepEqual(a.heard.get("x"), heard);
  t.deepEqual(b.heard.get("y"), heard);
  t.deepEqual(c.heard.get("z"), []);
});

test("a server says it without being in the room, from any node", async (t) => {
  const [, a, b, c] = await network();
  for (const from of ["0", ""]) t.deepEqual(await say(c, from, "r", "hi"), { nodes: 2, receivers: 2 });
  t.deepEqual(
    a.heard.get("x")?.map((each) => each.from),
    ["0", "0"],
  );
  t.is(b.heard.get("y")?.length, 2);
});

test("a connection must be in the room, wherever it is asked", async (t) => {
  const [net, a, b, c] = await network();
  const notIn = "NOT_IN_ROOM: connection not in this room (r)";
  t.is(await faultText(say(c, "z", "r", "hi")), notIn);
  t.is(await faultText(say(a, "z", "r", "hi")), notIn);
  t.is(await faultText(say(c, "x", "n", "hi")), "UNKNOWN_ROOM: room does not exist");
  t.deepEqual(await say(c, "x", "r", "hi"), { nodes: 2, receivers: 2 });
  // Where it is held, what is here counts, whatever Redis has lost.
  net.store.rooms.get("r")?.members.delete("x");
  t.is((await say(a, "x", "r", "hi")).receivers, 1);
  t.is(b.heard.get("y")?.length, 2);
});

test("both room and message are required", async (t) => {
  const [, a] = await network();
  const required = "INVALID_ARGUMENT: both room and message are required";
  t.is(await faultText(say(a, "x", "", "hi")), required);
  for (const message of ["", null, new Uint8Array(0)]) t.is(await faultText(say(a, "x", "r", message)), required);
  t.is(await faultText(a.speech.say("x", "r", undefined, testContext())), required);
  t.is((await say(a, "x", "r", 0)).receivers, 2);
  t.is((await say(a, "x", "r", false)).receivers, 2);
});

test("bytes stay bytes", async (t) => {
  const [, a, b] = await network();
  const bytes = Buffer.from([0, 255, 1]);
  await a.speech.say("x", "r", encodePayload(bytes), testContext());
  t.deepEqual(b.heard.get("y")?.[0]?.message, bytes);
});

test("a node that cannot be reached is not counted, and nothing is sent again", async (t) => {
  const [, a, b] = await network();
  b.isLinked = false;
  t.deepEqual(await say(a, "x", "r", 1), { nodes: 1, receivers: 1 });
  b.isLinked = true;
  t.deepEqual(await say(a, "x", "r", 2), { nodes: 2, receivers: 2 });
  t.deepEqual(
    b.heard.get("y")?.map(({ message }) => message),
    [2],
  );
});

test("a node that was started anew gets each message once, while its former lease lasts", async (t) => {
  const [net, a, b] = await network();
  await net.store.join("r", "former", { runId: "run-former", nodeId: "node-2", name: "gearmesh-2" });
  t.deepEqual(await say(a, "x", "r", 1), { nodes: 2, receivers: 2 });
  t.is(b.heard.get("y")?.length, 1);
});

test("a message that was on its way while its receiver changed nodes reaches it once", async (t) => {
  const [, a, b, c] = await network();
  await c.members.join("z", "r", testContext());
  const arrival = Promise.withResolvers<void>();
  c.delay = arrival.promise;
  const saying = say(a, "x", "r", 1);
  await eventually(() => b.heard.get("y")?.length === 1, { what: "the message at its former node" });
  const taken = b.heard.get("y") ?? [];
  b.heard.delete("y");
  c.heard.set("y", taken);
  await c.members.adopt("y", ["r"]);
  arrival.resolve();
  t.deepEqual(await saying, { nodes: 3, receivers: 3 });
  await say(a, "x", "r", 2);
  t.deepEqual(
    c.heard.get("y")?.map(({ message }) => message),
    [1, 2],
  );
});

test("a message that was on its way when its room was destroyed is not heard in the next one", async (t) => {
  const [, a, b] = await network();
  const arrival = Promise.withResolvers<void>();
  b.delay = arrival.promise;
  const saying = say(a, "x", "r", 1);
  const destroying = a.rooms.destroy("r", testContext());
  await a.rooms.add("r");
  b.hold("w");
  await b.members.join("w", "r", testContext());
  arrival.resolve();
  await Promise.all([saying, destroying]);
  t.deepEqual(b.heard.get("w"), []);
});

test("messages of a sender keep their order over all rooms, however long Redis takes for each", async (t) => {
  const [net, a, b] = await network();
  await a.rooms.add("s");
  await a.members.join("x", "s", testContext());
  await b.members.join("y", "s", testContext());
  const { audience } = net.store;
  const waiting: (() => void)[] = [];
  net.store.audience = async (...args) => {
    await new Promise<void>((resolve) => waiting.push(resolve));
    return audience.apply(net.store, args);
  };
  const said = [1, 2, 3, 4].map((n) => say(a, "x", n % 2 === 0 ? "r" : "s", n));
  // All ask at the same time; they are answered in the opposite order.
  t.is(waiting.length, 4);
  for (const answer of waiting.reverse()) answer();
  await Promise.all(said);
  t.deepEqual(
    b.heard.get("y")?.map(({ message }) => message),
    [1, 2, 3, 4],
  );
});

test("a message that may not be said holds up none behind it", async (t) => {
  const [, a, b] = await network();
  const [one, two, three] = [say(a, "x", "r", 1), say(a, "x", "n", 2), say(a, "x", "r", 3)];
  t.is(await faultText(two), "UNKNOWN_ROOM: room does not exist");
  await Promise.all([one, three]);
  t.deepEqual(
    b.heard.get("y")?.map(({ message }) => message),
    [1, 3],
  );
});

test("onSayReceive is asked once, where it is said, and may change the message or refuse it", async (t) => {
  const [, a, b] = await network();
  const asked: unknown[][] = [];
  a.hooks["room.onSayReceive"] = (...args) => {
    asked.push(args);
    const message = args[2] as { message: string; sentAt: number };
    if (message.message === "bad") throw new Error("mind your language");
    return { ...message, message: message.message.toUpperCase(), room: "elsewhere" };
  };
  b.hooks["room.onSayReceive"] = () => t.fail();
  await say(a, "x", "r", "hi");
  t.deepEqual(asked[0]?.slice(0, 2), [{ id: "x", type: "test" }, "r"]);
  t.like(asked[0]?.[2] as object, { message: "hi", room: "r", from: "x", context: "user" });
  t.deepEqual(b.heard.get("y"), [{ room: "r", from: "x", message: "HI", context: "user" }]);
  t.is(await faultText(say(a, "x", "r", "bad")), "REFUSED_BY_HOOK: mind your language");
  t.is(asked.length, 2);
  t.is(b.heard.get("y")?.length, 1);
});

test("whoever comes while onSayReceive is asked hears the message", async (t) => {
  const [, a, , c] = await network();
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  a.hooks["room.onSayReceive"] = () => {
    asked.resolve();
    return answer.promise;
  };
  const saying = say(a, "x", "r", "hi");
  await asked.promise;
  await c.members.join("z", "r", testContext());
  answer.resolve();
  t.deepEqual(await saying, { nodes: 3, receivers: 3 });
});

test("say is asked for each receiver, at its node, and may change the message or refuse it for that one", async (t) => {
  const [, a, b, c] = await network();
  c.hold("z2");
  await c.members.join("z", "r", testContext());
  await c.members.join("z2", "r", testContext());
  c.hooks["room.say"] = (receiver, room, message) => {
    const { id } = receiver as { id: string };
    if (id === "z2") throw new Error("not for z2");
    return { ...(message as object), message: `${room} for ${id}`, from: "somebody" };
  };
  t.deepEqual(await say(a, "x", "r", "hi"), { nodes: 3, receivers: 3 });
  t.deepEqual(c.heard.get("z"), [{ room: "r", from: "somebody", message: "r for z", context: "user" }]);
  t.deepEqual(c.heard.get("z2"), []);
  t.is(b.heard.get("y")?.[0]?.message, "hi");
});

test("bytes are a hook's fourth argument, and stay where it returns none", async (t) => {
  const [, a, b] = await network();
  let fourth: unknown;
  a.hooks["room.onSayReceive"] = (...args) => {
    fourth = args[3];
    return args[2];
  };
  const bytes = Buffer.from([0, 255]);
  await a.speech.say("x", "r", encodePayload(bytes), testContext());
  t.deepEqual(fourth, bytes);
  t.deepEqual(b.heard.get("y")?.[0]?.message, bytes);
});

test("a hook that returns nothing of use leaves the message as it is", async (t) => {
  const [, a, b] = await network();
  for (const nonsense of [undefined, null, 1, "text", [1], { from: 1, sentAt: "now", context: null }]) {
    a.hooks["room.onSayReceive"] = () => nonsense;
    await say(a, "x", "r", "hi");
  }
  t.is(b.heard.get("y")?.length, 6);
  for (const heard of b.heard.get("y") ?? []) {
    t.deepEqual(heard, { room: "r", from: "x", message: "hi", context: "user" });
  }
});

test("messages of a sender keep their order where a hook takes longer for some", async (t) => {
  const [, a, b] = await network();
  const answers: (() => void)[] = [];
  b.hooks["room.say"] = () => new Promise<void>((resolve) => answers.push(resolve));
  const said = [1, 2, 3].map((n) => say(a, "x", "r", n));
  await eventually(() => answers.length === 3, { what: "three hooks that are asked" });
  // One that needs no hook any more does not overtake them either.
  delete b.hooks["room.say"];
  said.push(say(a, "x", "r", 4));
  for (const answer of answers.reverse()) answer();
  await Promise.all(said);
  t.deepEqual(
    b.heard.get("y")?.map(({ message }) => message),
    [1, 2, 3, 4],
  );
});

test("members of a destroyed room are told, and are in it no longer", async (t) => {
  const [, a, b] = await network();
  t.is(await a.rooms.destroy("r", testContext()), 2);
  const told = [{ room: "r", from: "0", message: "this room has been deleted", context: "user" }];
  t.deepEqual(a.heard.get("x"), told);
  t.deepEqual(b.heard.get("y"), told);
  t.deepEqual([...a.removed, ...b.removed], ["x r", "y r"]);
  t.is(b.local.size, 0);
  t.is(await faultText(say(a, "x", "r", "hi")), "UNKNOWN_ROOM: room does not exist");
});

test("a server that says what a destroyed room's members are told ends nobody's membership", async (t) => {
  const [, a, b] = await network();
  await say(a, "0", "r", "this room has been deleted");
  t.deepEqual(b.removed, []);
  t.is(b.local.members, 1);
});

test("the list of rooms is in order", async (t) => {
  const [, a] = await network();
  await a.rooms.add("b");
  await a.rooms.add("a");
  t.deepEqual(await a.rooms.list(), ["a", "b", "r"]);
  t.true(await a.rooms.exists("a"));
  t.false(await a.rooms.exists("c"));
});
