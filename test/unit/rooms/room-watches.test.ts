import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { roomMember, watchRoomResponse } from "../../../src/rooms/room-codec.ts";
import type { RoomWatch } from "../../../src/rooms/room-watch.ts";
import { eventually } from "../../support/eventually.ts";
import { LEASE_MS, RoomNetwork, type TestNode, testContext, WATCH_PERIOD_MS } from "../../support/room-network.ts";

async function network(): Promise<[RoomNetwork, TestNode, TestNode]> {
  const net = new RoomNetwork(2);
  const [a, b] = net.nodes as [TestNode, TestNode];
  await a.rooms.add("r");
  a.hold("x", "y");
  b.hold("z");
  return [net, a, b];
}

/** The events that there are, as short texts. */
function taken(watch: RoomWatch): string[] {
  const events: string[] = [];
  for (let encoded = watch.take(); encoded; encoded = watch.take()) {
    const { status, joined, left, destroyed } = watchRoomResponse.decode(encoded);
    if (status) {
      const members = [...status.members.values()].map((member) => roomMember.decode(member).id);
      events.push(`status of ${status.room}: ${status.membersCount} ${members}`);
    }
    if (joined) events.push(`joined ${joined.id} on ${joined.node}`);
    if (left !== undefined) events.push(`left ${left}`);
    if (destroyed) events.push("destroyed");
  }
  return events;
}

async function seen(watch: RoomWatch, ...events: string[]): Promise<void> {
  const all: string[] = [];
  await eventually(() => all.push(...taken(watch)) >= events.length, { what: events.join() });
  if (JSON.stringify(all) !== JSON.stringify(events)) throw new Error(`not ${events} but ${all}`);
}

test("a watcher has the status first and then every change, from every node", async (t) => {
  const [, a, b] = await network();
  await a.members.join("x", "r", testContext());
  let woken = 0;
  const watch = await b.watches.watch("r", () => woken++);
  t.is(woken, 1);
  t.deepEqual(taken(watch), ["status of r: 1 x"]);
  await a.members.join("y", "r", testContext());
  await seen(watch, "joined y on gearmesh-1");
  await b.members.join("z", "r", testContext());
  await seen(watch, "joined z on gearmesh-2");
  await a.members.leave("x", "r", testContext());
  await seen(watch, "left x");
  await a.members.leaveAll("y", ["r"], testContext());
  await seen(watch, "left y");
  await a.rooms.destroy("r", testContext());
  t.false(watch.isOver);
  await seen(watch, "destroyed");
  t.true(watch.isOver);
  watch.close();
  watch.close();
  t.is(b.watches.open, 0);
});

test("a watcher that reads slowly has the difference, not every step", async (t) => {
  const [, a, b] = await network();
  await a.members.join("x", "r", testContext());
  const watch = await b.watches.watch("r", () => undefined);
  t.deepEqual(taken(watch), ["status of r: 1 x"]);
  for (let i = 0; i < 5; i++) {
    await a.members.join("y", "r", testContext());
    await a.members.leave("y", "r", testContext());
  }
  await a.members.leave("x", "r", testContext());
  await seen(watch, "left x");
});

test("one that left and came back in between did both", async (t) => {
  const [net, a, b] = await network();
  await a.members.join("x", "r", testContext());
  const watch = await b.watches.watch("r", () => undefined);
  taken(watch);
  await net.store.leave("r", "x");
  net.clock.advance(1);
  await net.store.join("r", "x", { runId: "run-1", nodeId: "node-1", name: "gearmesh-1" });
  b.watches.changed("r");
  await seen(watch, "left x", "joined x on gearmesh-1");
  t.pass();
});

test("members of a dead node, and what nobody told of, are seen by looking", async (t) => {
  const [net, a, b] = await network();
  await a.members.join("x", "r", testContext());
  const watch = await b.watches.watch("r", () => undefined);
  taken(watch);
  b.watches.start();
  b.isLinked = false;
  await a.members.join("y", "r", testContext());
  t.deepEqual(taken(watch), []);
  net.clock.advance(WATCH_PERIOD_MS);
  await seen(watch, "joined y on gearmesh-1");
  net.clock.advance(LEASE_MS);
  await seen(watch, "left x", "left y");
  t.is(watch.fault, undefined);
  b.watches.close("it ends");
  t.is(watch.fault?.message, "it ends");
  t.is(net.clock.timers, 0);
});

test("a room that was destroyed and added again is another one", async (t) => {
  const [, a, b] = await network();
  const watch = await b.watches.watch("r", () => undefined);
  t.deepEqual(taken(watch), ["status of r: 0 "]);
  b.isLinked = false;
  await a.rooms.destroy("r", testContext());
  await a.rooms.add("r");
  b.watches.changed("r");
  await seen(watch, "destroyed");
  t.true(watch.isOver);
});

test("watchers of one room share its readings", async (t) => {
  const [net, a, b] = await network();
  const watches = await Promise.all([1, 2, 3].map(() => b.watches.watch("r", () => undefined)));
  for (const watch of watches) t.deepEqual(taken(watch), ["status of r: 0 "]);
  let readings = 0;
  const { watch: read } = net.store;
  net.store.watch = (...args) => {
    readings++;
    return read.apply(net.store, args);
  };
  await a.members.join("x", "r", testContext());
  for (const watch of watches) await seen(watch, "joined x on gearmesh-1");
  t.is(readings, 1);
  for (const watch of watches) watch.close();
  b.watches.changed("r");
  t.is(readings, 1);
});

test("a room that is not there cannot be watched", async (t) => {
  const [, , b] = await network();
  const fault = await t.throwsAsync(
    b.watches.watch("n", () => undefined),
    { instanceOf: Fault },
  );
  t.is(fault.message, "room does not exist");
  t.is(b.watches.open, 0);
});
