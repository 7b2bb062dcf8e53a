import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { MAX_ROOMS_OF_CONNECTION } from "../../../src/rooms/room-members.ts";
import { eventually } from "../../support/eventually.ts";
import { faultText } from "../../support/fault-of.ts";
import { LEASE_MS, RoomNetwork, type TestNode, testContext } from "../../support/room-network.ts";

function network(): [RoomNetwork, TestNode, TestNode] {
  const net = new RoomNetwork(2);
  return [net, net.nodes[0] as TestNode, net.nodes[1] as TestNode];
}

test("who joins is a member everywhere, until it leaves", async (t) => {
  const [, a, b] = network();
  a.hold("x");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  t.deepEqual([...(await b.rooms.status("r")).members.keys()], ["x"]);
  t.is((await b.rooms.status("r")).members.get("x")?.node, "gearmesh-1");
  t.deepEqual(a.local.roomsOf("x"), ["r"]);
  await a.members.leave("x", "r", testContext());
  t.is((await b.rooms.status("r")).count, 0);
  t.deepEqual(a.local.roomsOf("x"), []);
  t.is(a.local.size, 0);
});

test("every refusal has its code and its text", async (t) => {
  const [, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  const ctx = testContext();
  t.is(await faultText(a.rooms.add("r")), "ROOM_EXISTS: room exists");
  t.is(await faultText(a.rooms.add("")), "INVALID_ARGUMENT: a room is required");
  t.regex(await faultText(a.rooms.add("é".repeat(129))), /^INVALID_ARGUMENT: the name of a room/);
  t.regex(await faultText(a.rooms.add("\ud800")), /^INVALID_ARGUMENT: the name of a room/);
  t.is(await faultText(a.rooms.destroy("n", ctx)), "UNKNOWN_ROOM: room does not exist");
  t.is(await faultText(a.rooms.status("n")), "UNKNOWN_ROOM: room does not exist");
  t.is(await faultText(a.members.join("x", "", ctx)), "INVALID_ARGUMENT: a room is required");
  t.is(await faultText(a.members.join("x", "n", ctx)), "UNKNOWN_ROOM: room does not exist");
  t.is(await faultText(a.members.leave("x", "n", ctx)), "UNKNOWN_ROOM: room does not exist");
  t.is(await faultText(a.members.leave("x", "r", ctx)), "NOT_IN_ROOM: connection not in this room (r)");
  await a.members.join("x", "r", ctx);
  t.is(await faultText(a.members.join("x", "r", ctx)), "ALREADY_IN_ROOM: connection already in this room (r)");
});

test("a connection is in so many rooms at most", async (t) => {
  const [, a] = network();
  a.hold("x");
  for (let i = 0; i <= MAX_ROOMS_OF_CONNECTION; i++) await a.rooms.add(`r${i}`);
  for (let i = 0; i < MAX_ROOMS_OF_CONNECTION; i++) await a.members.join("x", `r${i}`, testContext());
  t.regex(await faultText(a.members.join("x", `r${MAX_ROOMS_OF_CONNECTION}`, testContext())), /^RESOURCE_EXHAUSTED/);
});

test("a hook may refuse to let in and to let out, and sees whom and where", async (t) => {
  const [, a] = network();
  a.hold("x", "y");
  await a.rooms.add("r");
  const asked: unknown[] = [];
  Object.assign(a.hooks, {
    "room.join": (connection: { id: string }, room: string) => {
      asked.push([connection, room]);
      if (connection.id === "y") throw new Error("y is not welcome");
    },
    "room.leave": () => {
      throw new Error("nobody leaves");
    },
  });
  t.is(await faultText(a.members.join("y", "r", testContext())), "REFUSED_BY_HOOK: y is not welcome");
  t.is(await faultText(a.members.join("y", "n", testContext())), "UNKNOWN_ROOM: room does not exist");
  await a.members.join("x", "r", testContext());
  t.deepEqual(asked, [
    [{ id: "y", type: "test" }, "r"],
    [{ id: "x", type: "test" }, "r"],
  ]);
  t.is(await faultText(a.members.leave("x", "r", testContext())), "REFUSED_BY_HOOK: nobody leaves");
  t.deepEqual([...(await a.rooms.status("r")).members.keys()], ["x"]);
  await a.members.leaveAll("x", ["r"], testContext());
  t.is((await a.rooms.status("r")).count, 0);
});

test("a hook that cannot be asked lets nobody in", async (t) => {
  const [, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  a.hooks["room.join"] = () => {
    throw new Fault("UNAVAILABLE", "its client is away");
  };
  t.is(await faultText(a.members.join("x", "r", testContext())), "UNAVAILABLE: its client is away");
  t.is((await a.rooms.status("r")).count, 0);
});

test("a connection takes its memberships along to another node", async (t) => {
  const [, a, b] = network();
  a.hold("x");
  for (const room of ["r", "s", "gone"]) {
    await a.rooms.add(room);
    await a.members.join("x", room, testContext());
  }
  const { joinedAtMs } = (await a.rooms.status("r")).members.get("x") ?? {};
  a.heard.delete("x");
  await a.rooms.destroy("gone", testContext());
  b.hold("x");
  await b.members.adopt("x", ["r", "s", "gone"]);
  t.deepEqual(b.local.roomsOf("x"), ["r", "s"]);
  t.deepEqual(b.removed, ["x gone"]);
  t.deepEqual((await a.rooms.status("r")).members.get("x"), { joinedAtMs: joinedAtMs ?? 0, node: "gearmesh-2" });
  t.deepEqual(
    b.heard.get("x")?.map(({ room, message }) => `${room}: ${message}`),
    ["gone: this room has been deleted"],
  );
  await a.speech.say("0", "r", Buffer.from([0x12, 0x03, 0x22, 0x61, 0x22]), testContext());
  t.is(b.heard.get("x")?.at(-1)?.message, "a");
});

test("a connection that goes to another node while a hook is asked is moved there, and not by what the hook answers", async (t) => {
  for (const hook of ["room.join", "room.leave"] as const) {
    const [, a, b] = network();
    a.hold("x");
    await a.rooms.add("r");
    if (hook === "room.leave") await a.members.join("x", "r", testContext());
    const answered = Promise.withResolvers<void>();
    a.hooks[hook] = () => answered.promise;
    const move =
      hook === "room.join" ? a.members.join("x", "r", testContext()) : a.members.leave("x", "r", testContext());
    const moved = faultText(move);
    await new Promise(setImmediate);
    a.members.forget("x");
    a.heard.delete("x");
    b.hold("x");
    await b.members.adopt("x", ["r"]);
    answered.resolve();
    t.regex(await moved, /^UNKNOWN_CONNECTION/);
    t.is((await a.rooms.status("r")).members.get("x")?.node, "gearmesh-2", hook);
    t.deepEqual([a.local.roomsOf("x"), b.local.roomsOf("x")], [[], ["r"]]);
  }
});

test("a lease that is renewed keeps members, and one that is not lets go of them", async (t) => {
  const [net, a, b] = network();
  a.hold("x");
  b.hold("y");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  await b.members.join("y", "r", testContext());
  a.leases.start();
  for (let i = 0; i < 6; i++) {
    net.clock.advance(LEASE_MS / 3);
    await a.leases.renew();
  }
  t.deepEqual([...(await b.rooms.status("r")).members.keys()], ["x"]);
  // The node had stood still: what it holds is what counts.
  await b.leases.renew();
  t.deepEqual([...(await a.rooms.status("r")).members.keys()].sort(), ["x", "y"]);
  a.leases.stop();
  t.is(net.clock.timers, 0);
});

test("a renewal finds out that the room was destroyed, also where it was added again", async (t) => {
  const [net, a, b] = network();
  a.hold("x", "y");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  a.isLinked = false;
  await b.rooms.destroy("r", testContext());
  await b.rooms.add("r");
  t.deepEqual(a.local.roomsOf("x"), ["r"]);
  await a.leases.renew();
  t.deepEqual(a.removed, ["x r"]);
  t.is(a.heard.get("x")?.[0]?.message, "this room has been deleted");
  t.is((await b.rooms.status("r")).count, 0);
  // Whoever joins the new one is not counted to the old one, and learns nothing of its end.
  net.store.rooms.delete("r");
  await b.rooms.add("r");
  await a.members.join("y", "r", testContext());
  await a.leases.renew();
  t.deepEqual(a.local.roomsOf("y"), ["r"]);
  t.deepEqual(a.heard.get("y"), []);
});

test("whoever joins the room that came after a destroyed one ends that one here", async (t) => {
  const [, a, b] = network();
  a.hold("x", "y");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  a.isLinked = false;
  await b.rooms.destroy("r", testContext());
  await b.rooms.add("r");
  await a.members.join("y", "r", testContext());
  t.deepEqual(a.removed, ["x r"]);
  t.deepEqual(a.local.roomsOf("y"), ["r"]);
  t.deepEqual([...(await b.rooms.status("r")).members.keys()], ["y"]);
});

test("a renewal leaves alone who is joining, and forgets who is not held here any more", async (t) => {
  const [net, a] = network();
  a.hold("x", "y");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  const { join } = net.store;
  const held = Promise.withResolvers<void>();
  net.store.join = async (...args) => {
    const joined = await join.apply(net.store, args);
    await held.promise;
    return joined;
  };
  const joining = a.members.join("y", "r", testContext());
  await a.leases.renew();
  held.resolve();
  await joining;
  t.deepEqual([...(await a.rooms.status("r")).members.keys()].sort(), ["x", "y"]);
  a.heard.delete("x");
  await a.leases.renew();
  t.deepEqual([...(await a.rooms.status("r")).members.keys()], ["y"]);
});

test("a connection that is lost while it joins is no member", async (t) => {
  const [, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  const joining = a.members.join("x", "r", testContext());
  a.heard.delete("x");
  await joining;
  t.is((await a.rooms.status("r")).count, 0);
  t.is(a.local.members, 0);
});

test("a connection that comes while Redis is away enters its rooms once that can be reached", async (t) => {
  const [net, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  const { join } = net.store;
  let isAway = true;
  net.store.join = (...args) =>
    isAway ? Promise.reject(new Fault("UNAVAILABLE", "no Redis")) : join.apply(net.store, args);
  await a.members.adopt("x", ["r"]);
  t.is((await a.rooms.status("r")).count, 0);
  isAway = false;
  net.clock.advance(500);
  await eventually(async () => (await a.rooms.status("r")).count === 1, { what: "the member" });
  t.deepEqual(a.local.roomsOf("x"), ["r"]);
  t.is(net.clock.timers, 0);
});

test("a connection that leaves a room before it has entered it does not enter it later", async (t) => {
  const [net, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  const { join } = net.store;
  net.store.join = () => Promise.reject(new Fault("UNAVAILABLE", "no Redis"));
  await a.members.adopt("x", ["r"]);
  net.store.join = join;
  await a.members.leave("x", "r", testContext());
  net.clock.advance(1000);
  await new Promise(setImmediate);
  t.is((await a.rooms.status("r")).count, 0);
  t.is(await faultText(a.members.leave("x", "r", testContext())), "NOT_IN_ROOM: connection not in this room (r)");
});

test("whoever joins again after an attempt that was not answered is in the room", async (t) => {
  const [net, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  const { join } = net.store;
  net.store.join = async (...args) => {
    await join.apply(net.store, args);
    throw new Fault("INDETERMINATE", "no answer");
  };
  t.is(await faultText(a.members.join("x", "r", testContext())), "INDETERMINATE: no answer");
  t.deepEqual(a.local.roomsOf("x"), []);
  net.store.join = join;
  await a.members.join("x", "r", testContext());
  t.deepEqual(a.local.roomsOf("x"), ["r"]);
});

test("whoever leaves a room that is gone is not in it", async (t) => {
  const [net, a] = network();
  a.hold("x");
  await a.rooms.add("r");
  await a.members.join("x", "r", testContext());
  net.store.rooms.delete("r");
  t.is(await faultText(a.members.leave("x", "r", testContext())), "UNKNOWN_ROOM: room does not exist");
  t.deepEqual(a.local.roomsOf("x"), []);
  t.deepEqual(a.removed, ["x r"]);
});
