import test from "ava";
import { connect } from "../../src/client/client.ts";
import type { RoomEvent } from "../../src/client/rooms.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const LEASE_MS = 4000;
const ENV = { GEARMESH_ROOM_LEASE_MS: String(LEASE_MS), GEARMESH_CONNECTION_LEASE_MS: String(LEASE_MS) };

test.serial(
  "members of a node that was killed are gone after its lease on every node, but those that were resumed",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 3, env: ENV });
    const [killed, ...others] = cluster.nodes;
    if (!killed) return t.fail();
    const { token } = cluster;
    await using first = connect({ address: killed.coordinator.address, token, timeoutMs: 5000 });
    const [second, third] = others.map(({ coordinator }) => connect({ address: coordinator.address, token }));
    if (!second || !third) return t.fail();
    t.teardown(() => {
      second.close();
      third.close();
    });

    // The rooms' own shards stay: the killed node's Redis lives.
    const rooms = Array.from({ length: 6 }, (_, i) => `room ${i}`);
    for (const room of rooms) await second.rooms.add(room);
    const heard: string[] = [];
    const lost = await first.open();
    const comesBack = await first.open();
    await using survivor = await third.open({ onRoomMessage: ({ room }) => heard.push(room) });
    for (const room of rooms) {
      for (const { id } of [lost, comesBack, survivor]) await second.rooms.addMember(id, room);
    }
    const events: RoomEvent[] = [];
    const watching = (async () => {
      for await (const event of third.rooms.watch(rooms[0] ?? "")) events.push(event);
    })();
    await eventually(() => events.length === 1, { what: "the status" });

    const { resumePoint } = comesBack;
    lost.abandon();
    comesBack.abandon();
    await killed.coordinator.kill("SIGKILL");
    await using resumed = await second.open({
      resume: resumePoint,
      onRoomMessage: ({ room }) => heard.push(`${room}, resumed`),
    });
    t.is(resumed.id, comesBack.id);
    const left = [resumed.id, survivor.id].sort();
    for (const client of [second, third]) {
      for (const room of rooms) {
        const members = async () => [...(await client.rooms.roomStatus(room)).members.keys()].sort().join();
        await eventually(async () => (await members()) === left.join(), { what: `the end of the lease in ${room}` });
        await t.throwsAsync(client.rooms.broadcast(lost.id, room, "hi"), { message: /connection not in this room/ });
      }
    }
    for (const room of rooms) t.deepEqual(await second.rooms.broadcast("0", room, "hi"), { nodes: 2, receivers: 2 });
    await eventually(() => heard.length === 2 * rooms.length, { what: "every message" });
    t.deepEqual(
      heard.toSorted(),
      rooms.flatMap((room) => [room, `${room}, resumed`]),
    );
    await eventually(() => events.some((event) => event.kind === "left" && event.id === lost.id), { what: "an event" });
    await second.rooms.destroy(rooms[0] ?? "");
    await watching;
  },
);

test.serial(
  "members outlive a pause of their node that is longer than its lease, and rooms that Redis has lost are told of",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 3, env: ENV });
    const [paused, other] = cluster.nodes;
    if (!paused || !other) return t.fail();
    const { token } = cluster;
    await using here = connect({ address: paused.coordinator.address, token });
    await using there = connect({ address: other.coordinator.address, token });
    await there.rooms.add("r");
    const heard: unknown[] = [];
    await using member = await here.open({ onRoomMessage: ({ message }) => heard.push(message) });
    await here.rooms.addMember(member.id, "r");
    paused.coordinator.pause();
    await eventually(async () => (await there.rooms.roomStatus("r")).membersCount === 0, {
      what: "the end of the lease",
    });
    paused.coordinator.resume();
    await eventually(async () => (await there.rooms.roomStatus("r")).membersCount === 1, { what: "the member" });
    await there.rooms.broadcast("0", "r", "welcome back");
    await eventually(() => heard.length === 1, { what: "the message" });

    for (const { redis } of cluster.nodes) await askRedis(redis, "FLUSHALL");
    await eventually(() => heard.length === 2, { what: "word of the end" });
    t.deepEqual(heard, ["welcome back", "this room has been deleted"]);
  },
);
