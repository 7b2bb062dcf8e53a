import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import { type ConnectionNode, latencyOf, settled, turnsOfLoop } from "../../support/connection-network.ts";
import { faultOf } from "../../support/fault-of.ts";
import { MemberNetwork } from "../../support/member-network.ts";

async function inRooms(t: ExecutionContext, network: MemberNetwork, id: string, ...rooms: string[]): Promise<void> {
  for (const told of await network.roomsOf(id)) t.deepEqual(told, rooms);
}

test("a room that a connection left on another node is left where it comes back to", async (t) => {
  const network = new MemberNetwork(["r", "s"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  const { id } = first.connection;
  for (const room of ["r", "s"]) await network.move(a, id, "joinRoom", room);
  const second = await b.resume(first.token);
  await network.move(b, id, "leaveRoom", "r");
  await a.resume(second.token);
  await inRooms(t, network, id, "s");
  await network.renewals();
  await inRooms(t, network, id, "s");
});

/** Holds back the answers of this kind that a node gets, until it is called. */
function holdBack(network: MemberNetwork, node: ConnectionNode, held: "join" | "leave"): () => void {
  const released = Promise.withResolvers<void>();
  network.linkOf(node).latency = async (verb, leg) => {
    if (verb === held && leg === "answer") await released.promise;
  };
  return () => {
    network.linkOf(node).latency = async () => undefined;
    released.resolve();
  };
}

test("a joining that is over once its connection has gone and come back does nothing to that", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  const release = holdBack(network, a, "join");
  const joining = faultOf(a.operate(first.connection, "joinRoom", "r"));
  await settled();
  await a.resume((await b.resume(first.token)).token);
  release();
  t.is((await joining).code, "UNKNOWN_CONNECTION");
  await inRooms(t, network, first.connection.id);
});

test("a leaving that is over once its connection has gone and come back does nothing to that", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  await network.move(a, first.connection.id, "joinRoom", "r");
  const release = holdBack(network, a, "leave");
  const leaving = faultOf(a.operate(first.connection, "leaveRoom", "r"));
  await settled();
  await a.resume((await b.resume(first.token)).token);
  release();
  t.is((await leaving).code, "UNKNOWN_CONNECTION");
  await inRooms(t, network, first.connection.id, "r");
});

test("a joining that is over once its connection has gone does not take it out of the room where it is", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  const release = holdBack(network, a, "join");
  const joining = faultOf(a.operate(first.connection, "joinRoom", "r"));
  await settled();
  await b.resume(first.token);
  await network.move(b, first.connection.id, "joinRoom", "r");
  release();
  t.is((await joining).code, "UNKNOWN_CONNECTION");
  await inRooms(t, network, first.connection.id, "r");
});

test("a node that does not know that a connection was resumed elsewhere does not answer by what it has of it", async (t) => {
  const network = new MemberNetwork(["r", "s"]);
  const { a, b } = network.connections;
  const { connection, token } = await a.openAndLeave();
  await network.move(a, connection.id, "joinRoom", "r");
  a.isLinked = false;
  await b.resume(token);
  await network.move(b, connection.id, "leaveRoom", "r");
  await network.move(b, connection.id, "joinRoom", "s");
  await network.move(a, connection.id, "joinRoom", "r");
  t.is((await faultOf(network.move(a, connection.id, "joinRoom", "s"))).code, "ALREADY_IN_ROOM");
  await inRooms(t, network, connection.id, "r", "s");
});

test("a room that a server made a connection leave while its client came to another node is left there", async (t) => {
  for (const leg of ["request", "answer"] as const) {
    const network = new MemberNetwork(["r"]);
    const { a, b } = network.connections;
    const { connection, token } = await a.openAndLeave();
    await network.move(a, connection.id, "joinRoom", "r");
    // The nodes do not reach each other, and both reach Redis.
    a.isLinked = false;
    const find = b.directory.stop("find", leg);
    const resumed = b.resume(token);
    await find.reached;
    await network.move(a, connection.id, "leaveRoom", "r");
    find.release();
    await resumed;
    await inRooms(t, network, connection.id);
  }
});

test("a connection that left a room while it was about to enter that anew does not enter it behind that", async (t) => {
  const network = new MemberNetwork(["r", "s"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  const { id } = first.connection;
  for (const room of ["r", "s"]) await network.move(a, id, "joinRoom", room);
  const link = network.linkOf(b);
  link.refused.set("join", "UNAVAILABLE");
  await b.resume(first.token);
  link.refused.clear();
  const arrives = Promise.withResolvers<void>();
  link.latency = (verb, leg) => (verb === "join" && leg === "request" ? arrives.promise : Promise.resolve());
  network.clock.advance(500);
  await settled();
  const leaving = network.move(b, id, "leaveRoom", "r");
  await settled();
  arrives.resolve();
  await leaving;
  await settled();
  await inRooms(t, network, id, "s");
});

test("a connection that may not leave a room before it has entered that anew enters it", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a, b } = network.connections;
  const { connection, token } = await a.openAndLeave();
  await network.move(a, connection.id, "joinRoom", "r");
  const link = network.linkOf(b);
  for (const verb of ["join", "leave"] as const) link.refused.set(verb, "UNAVAILABLE");
  await b.resume(token);
  t.is((await faultOf(network.move(b, connection.id, "leaveRoom", "r"))).code, "UNAVAILABLE");
  link.refused.clear();
  network.clock.advance(500);
  await settled();
  await inRooms(t, network, connection.id, "r");
});

test("a node whose claim crossed a hand-over that came to nothing has the connection, in its rooms", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a, b } = network.connections;
  const { connection, token } = await a.openAndLeave();
  await network.move(a, connection.id, "joinRoom", "r");
  const find = b.directory.stop("find", "answer");
  const there = faultOf(b.resume(token));
  await find.reached;
  const claim = a.directory.stop("claim", "answer");
  const here = a.resume(token);
  await claim.reached;
  find.release();
  t.is((await there).code, "UNAUTHENTICATED");
  await network.renewals();
  claim.release();
  await here;
  await settled();
  await inRooms(t, network, connection.id, "r");
});

test("a room that is destroyed while a connection enters its rooms is not among them", async (t) => {
  const network = new MemberNetwork(["r", "s"]);
  const { a, b } = network.connections;
  const first = await a.openAndLeave();
  const { id } = first.connection;
  for (const room of ["r", "s"]) await network.move(a, id, "joinRoom", room);
  let joins = 0;
  const late = Promise.withResolvers<void>();
  network.linkOf(b).latency = async (verb, leg) => {
    if (verb === "join" && leg === "request" && joins++ > 0) await late.promise;
  };
  const resumed = b.resume(first.token);
  await settled();
  network.store.rooms.delete("r");
  await network.roomsAt(b).leases.renew();
  late.resolve();
  await resumed;
  await settled();
  t.deepEqual([...(b.held.get(id)?.rooms ?? [])], ["s"]);
  t.deepEqual(network.connections.directory.record(id)?.details.rooms, ["s"]);
});

test("what could not be written down is not called undone, and is written with the next renewal", async (t) => {
  for (const again of ["by itself", "asked for again"]) {
    const network = new MemberNetwork(["r"]);
    const { a, b } = network.connections;
    const { connection, token } = await a.openAndLeave();
    await network.move(a, connection.id, "joinRoom", "r");
    a.directory.refused.set("put", "UNAVAILABLE");
    t.is((await faultOf(network.move(a, connection.id, "leaveRoom", "r"))).code, "INDETERMINATE");
    t.is((await faultOf(network.move(a, connection.id, "leaveRoom", "r"))).code, "UNAVAILABLE");
    a.directory.refused.clear();
    if (again === "by itself") await network.renewals();
    else t.is((await faultOf(network.move(a, connection.id, "leaveRoom", "r"))).code, "NOT_IN_ROOM");
    a.isLinked = false;
    t.deepEqual([...(await b.resume(token)).connection.rooms], [], again);
  }
});

test("a renewal counts who has joined while it was under way", async (t) => {
  const network = new MemberNetwork(["r"]);
  const { a } = network.connections;
  const [x, y] = [await a.openAndLeave(), await a.openAndLeave()];
  await network.move(a, x.connection.id, "joinRoom", "r");
  const answered = Promise.withResolvers<void>();
  network.linkOf(a).latency = (verb, leg) =>
    verb === "renew" && leg === "answer" ? answered.promise : Promise.resolve();
  network.store.rooms.get("r")?.members.clear();
  const renewed = network.roomsAt(a).leases.renew();
  await settled();
  await network.move(a, x.connection.id, "leaveRoom", "r").catch(() => undefined);
  await network.move(a, y.connection.id, "joinRoom", "r");
  answered.resolve();
  await renewed;
  await inRooms(t, network, y.connection.id, "r");
});

/** Something that is done to a connection: a server moves it, by way of a node, or its client comes to a node. */
interface Step {
  readonly what: "joinRoom" | "leaveRoom" | "resume";
  readonly node: number;
  readonly room: "r" | "s";
  /** Turns before it begins. */
  readonly after: number;
}

/** What the answer to a move says: whether the connection is in the room then; undefined where it says nothing. */
function toldBy(step: Step, outcome: "done" | Fault): boolean | undefined {
  if (outcome === "done") return step.what === "joinRoom";
  if (outcome.code === "ALREADY_IN_ROOM") return true;
  return outcome.code === "NOT_IN_ROOM" ? false : undefined;
}

test("whatever crosses what: a connection is in the rooms that the last answers have told of, and in no others", async (t) => {
  const turns = fc.array(fc.nat({ max: 5 }), { minLength: 3, maxLength: 12 });
  const step = fc.record({
    what: fc.constantFrom("joinRoom" as const, "leaveRoom" as const, "leaveRoom" as const, "resume" as const),
    node: fc.nat({ max: 2 }),
    room: fc.constantFrom("r" as const, "s" as const),
    after: fc.nat({ max: 6 }),
  });
  const cuts = fc.array(fc.nat({ max: 2 }), { maxLength: 4 });
  const run = async (pace: readonly number[][], steps: readonly Step[], cut: readonly number[]): Promise<void> => {
    const network = new MemberNetwork(["r", "s"]);
    const { nodes } = network;
    const opened = await network.connections.a.openAndLeave();
    const { id } = opened.connection;
    await network.move(network.connections.a, id, "joinRoom", "r");
    nodes.forEach((node, index) => {
      const own = pace[index] ?? [];
      node.directory.latency = latencyOf(own);
      node.latency = latencyOf(own.toReversed());
      network.linkOf(node).latency = latencyOf(own);
    });
    const told = new Map<string, boolean | undefined>([
      ["r", true],
      ["s", false],
    ]);
    // In each room one thing after the other, and the client by itself.
    const moving = ["r", "s"].map(async (room) => {
      for (const each of steps) {
        if (each.what === "resume" || each.room !== room) continue;
        await turnsOfLoop(each.after);
        const node = nodes[each.node] as ConnectionNode;
        const outcome = await network.move(node, id, each.what, room).then(
          () => "done" as const,
          (thrown) => Fault.from(thrown),
        );
        told.set(room, toldBy(each, outcome));
      }
    });
    const returning = async (): Promise<void> => {
      let { token } = opened;
      for (const each of steps) {
        if (each.what !== "resume") continue;
        await turnsOfLoop(each.after);
        const node = nodes[each.node] as ConnectionNode;
        ({ token } = await node.resume(token).catch(() => ({ token })));
      }
    };
    const cutting = async (): Promise<void> => {
      for (const index of cut) {
        const node = nodes[index] as ConnectionNode;
        node.isLinked = !node.isLinked;
        await turnsOfLoop(4);
      }
    };
    await Promise.all([...moving, returning(), cutting()]);
    for (const node of nodes) node.isLinked = true;
    await network.renewals();
    const all = await network.roomsOf(id);
    t.is(all.length, 3, "one node holds it");
    for (const rooms of all) {
      t.deepEqual(rooms, all[0], JSON.stringify(all));
      for (const [room, isIn] of told) if (isIn !== undefined) t.is(rooms.includes(room), isIn, `${room} of ${rooms}`);
    }
  };
  const property = fc.asyncProperty(fc.tuple(turns, turns, turns), fc.array(step, { maxLength: 12 }), cuts, run);
  await fc.assert(property, { numRuns: 500 });
});
