import test, { type ExecutionContext } from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Connection, OpenOptions } from "../../src/client/connection.ts";
import type { RoomMessage } from "../../src/client/inbox.ts";
import type { RoomEvent } from "../../src/client/rooms.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { faultText } from "../support/fault-of.ts";
import { metricOf } from "../support/metrics-of.ts";

/* One test at least for each line of "Rooms (chat)" and of the client verbs in the reference page, named after it. */

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];
let rooms = 0;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: { GEARMESH_RPC_TIMEOUT_MS: "4000" },
  });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
});

test.after.always(async () => {
  for (const client of clients) client.close();
  await cluster?.[Symbol.asyncDispose]();
});

function client(index: number): GearmeshClient {
  const found = clients[index % 3];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

/** A room of the test's own. */
async function freshRoom(): Promise<string> {
  const room = `room ${++rooms}`;
  await client(rooms).rooms.add(room);
  return room;
}

interface Member extends AsyncDisposable {
  readonly connection: Connection;
  readonly id: string;
  readonly heard: RoomMessage[];
}

/** A connection of the coordinator, and what it hears. */
async function openAt(index: number, options: OpenOptions = {}): Promise<Member> {
  const heard: RoomMessage[] = [];
  const connection = await client(index).open({ onRoomMessage: (message) => heard.push(message), ...options });
  return { connection, id: connection.id, heard, [Symbol.asyncDispose]: () => connection.quit() };
}

/** Three connections, one on each coordinator, in the room. */
async function membersOf(room: string) {
  const members = await Promise.all([openAt(0), openAt(1), openAt(2)]);
  for (const [index, { id }] of members.entries()) await client(index + 1).rooms.addMember(id, room);
  return {
    members: members as [Member, Member, Member],
    async [Symbol.asyncDispose]() {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
    },
  };
}

async function textsHeard(t: ExecutionContext, { heard }: Member, ...texts: unknown[]): Promise<void> {
  await eventually(() => heard.length >= texts.length, { what: `the messages ${texts}` });
  t.deepEqual(
    heard.map(({ message }) => message),
    texts,
  );
}

test("`list`, `add` -> 1 or 0, `destroy`, `exists`: the same from every node", async (t) => {
  for (const [index, room] of ["list-a", "list-b", "list-c"].entries()) t.is(await client(index).rooms.add(room), 1);
  for (const each of clients) {
    const listed = (await each.rooms.list()).filter((room) => room.startsWith("list-"));
    t.deepEqual(listed, ["list-a", "list-b", "list-c"]);
    t.true(await each.rooms.exists("list-b"));
    t.false(await each.rooms.exists("list-d"));
  }
  t.is(await client(1).rooms.destroy("list-a"), 0);
  for (const each of clients) {
    t.false(await each.rooms.exists("list-a"));
    t.false((await each.rooms.list()).includes("list-a"));
  }
});

test("`roomStatus` -> {room, membersCount, members: {id: {id, joinedAt, ...}}}", async (t) => {
  const room = await freshRoom();
  const before = Date.now();
  await using present = await membersOf(room);
  for (const each of clients) {
    const status = await each.rooms.roomStatus(room);
    t.is(status.room, room);
    t.is(status.membersCount, 3);
    t.deepEqual([...status.members.keys()].sort(), present.members.map(({ id }) => id).sort());
    for (const { connection, id } of present.members) {
      const member = status.members.get(id);
      t.is(member?.id, id);
      t.is(member?.node, connection.details.node);
      t.true(Math.abs((member?.joinedAt.getTime() ?? 0) - before) < 60_000);
    }
  }
});

test("`addMember(connectionId, room)`, `removeMember`: for connections on any node, from any node", async (t) => {
  const room = await freshRoom();
  for (const [holder] of clients.entries()) {
    for (const each of clients) {
      await using member = await openAt(holder);
      await each.rooms.addMember(member.id, room);
      t.deepEqual((await each.apply(member.id)).details.rooms, [room]);
      t.true((await client(holder + 1).rooms.roomStatus(room)).members.has(member.id));
      await each.rooms.removeMember(member.id, room);
      t.deepEqual((await each.apply(member.id)).details.rooms, []);
      t.is((await client(holder + 1).rooms.roomStatus(room)).membersCount, 0);
    }
  }
});

test("the seed's chat: connections are booted and moved between rooms from another node", async (t) => {
  const [from, to] = [await freshRoom(), await freshRoom()];
  await using member = await openAt(0);
  await client(1).apply(member.id, "joinRoom", [from]);
  await client(2).apply(member.id, "leaveRoom", [from]);
  const { details } = await client(1).apply(member.id, "joinRoom", [to]);
  t.deepEqual(details.rooms, [to]);
  await client(2).rooms.broadcast("0", from, "not for it");
  await client(2).rooms.broadcast("0", to, "for it");
  await textsHeard(t, member, "for it");
});

test("`broadcast(from, room, message)`: from any node, to members on any node, each once", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  await using stranger = await openAt(1);
  const [first] = present.members;
  for (const [index, each] of clients.entries()) {
    t.deepEqual(await each.rooms.broadcast(first.id, room, { index }), { nodes: 3, receivers: 3 });
  }
  for (const member of present.members) await textsHeard(t, member, { index: 0 }, { index: 1 }, { index: 2 });
  t.deepEqual(stranger.heard, []);
});

test("Message to members: {message, room, from, context: 'user', sentAt}", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first, second] = present.members;
  await first.connection.verb("say", room, "hello");
  await textsHeard(t, second, "hello");
  const { sentAt, ...message } = second.heard[0] as RoomMessage;
  t.deepEqual(message, { message: "hello", room, from: first.id, context: "user" });
  t.true(Math.abs(sentAt.getTime() - Date.now()) < 60_000);
});

test('a server\'s own `from` is "0"', async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [, , third] = present.members;
  await client(0).rooms.broadcast("0", room, 1);
  await client(0).rooms.broadcast("", room, 2);
  await textsHeard(t, third, 1, 2);
  t.deepEqual(
    third.heard.map(({ from }) => from),
    ["0", "0"],
  );
});

test("bytes are said as bytes", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first, second] = present.members;
  await first.connection.verb("say", room, new Uint8Array([0, 255, 7]));
  await eventually(() => second.heard.length === 1, { what: "the bytes" });
  t.deepEqual(Buffer.from(second.heard[0]?.message as Uint8Array), Buffer.from([0, 255, 7]));
});

test('Error "room exists"', async (t) => {
  const room = await freshRoom();
  for (const each of clients) t.is(await faultText(each.rooms.add(room)), "ROOM_EXISTS: room exists");
});

test('Error "room does not exist"', async (t) => {
  await using member = await openAt(0);
  const none = "UNKNOWN_ROOM: room does not exist";
  for (const { rooms: each } of clients) {
    t.is(await faultText(each.destroy("none")), none);
    t.is(await faultText(each.roomStatus("none")), none);
    t.is(await faultText(each.addMember(member.id, "none")), none);
    t.is(await faultText(each.removeMember(member.id, "none")), none);
    t.is(await faultText(each.broadcast("0", "none", "hi")), none);
    t.is(await faultText(Array.fromAsync(each.watch("none"))), none);
  }
  t.is(await faultText(member.connection.verb("roomAdd", "none")), none);
  t.is(await faultText(member.connection.verb("roomView", "none")), none);
});

test('Error "a room is required"', async (t) => {
  await using member = await openAt(0);
  const required = "INVALID_ARGUMENT: a room is required";
  const { rooms: each } = client(1);
  t.is(await faultText(each.add("")), required);
  t.is(await faultText(each.destroy("")), required);
  t.is(await faultText(each.exists("")), required);
  t.is(await faultText(each.roomStatus("")), required);
  t.is(await faultText(each.addMember(member.id, "")), required);
  t.is(await faultText(each.removeMember(member.id, "")), required);
  t.is(await faultText(Array.fromAsync(each.watch(""))), required);
  for (const verb of ["roomAdd", "roomLeave", "roomView"]) {
    t.is(await faultText(member.connection.verb(verb)), required, verb);
  }
});

test('Error "both room and message are required"', async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first] = present.members;
  const required = "INVALID_ARGUMENT: both room and message are required";
  t.is(await faultText(client(0).rooms.broadcast("0", "", "hi")), required);
  t.is(await faultText(client(0).rooms.broadcast("0", room, "")), required);
  t.is(await faultText(first.connection.verb("say", room)), required);
  t.is(await faultText(first.connection.verb("say", "", "hi")), required);
  t.is(await faultText(first.connection.verb("say", room, "")), required);
});

test('Error "connection already in this room (r)"', async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first] = present.members;
  const already = `ALREADY_IN_ROOM: connection already in this room (${room})`;
  for (const each of clients) t.is(await faultText(each.rooms.addMember(first.id, room)), already);
  t.is(await faultText(first.connection.verb("roomAdd", room)), already);
  t.is((await client(1).rooms.roomStatus(room)).membersCount, 3);
});

test('Error "connection not in this room (r)"', async (t) => {
  const room = await freshRoom();
  await using stranger = await openAt(0);
  const not = `NOT_IN_ROOM: connection not in this room (${room})`;
  for (const { rooms: each } of clients) {
    t.is(await faultText(each.removeMember(stranger.id, room)), not);
    t.is(await faultText(each.broadcast(stranger.id, room, "hi")), not);
  }
  t.is(await faultText(stranger.connection.verb("roomLeave", room)), not);
  t.is(await faultText(stranger.connection.verb("say", room, "hi")), not);
});

test('Error "this room has been deleted": members are told, and the room is gone from their details', async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  t.is(await client(2).rooms.destroy(room), 3);
  for (const member of present.members) {
    await textsHeard(t, member, "this room has been deleted");
    t.like(member.heard[0], { room, from: "0", context: "user" });
    t.deepEqual((await client(0).apply(member.id)).details.rooms, []);
  }
});

test("an unknown connection, a name that is too long and a message that is too large have codes of their own", async (t) => {
  const room = await freshRoom();
  const { rooms: each } = client(0);
  t.regex(await faultText(each.addMember("0".repeat(32), room)), /^UNKNOWN_CONNECTION/);
  t.regex(await faultText(each.addMember("", room)), /^INVALID_ARGUMENT/);
  t.regex(await faultText(each.broadcast("0".repeat(32), room, "hi")), /^NOT_IN_ROOM/);
  t.regex(await faultText(each.add("x".repeat(257))), /^INVALID_ARGUMENT/);
  t.regex(await faultText(each.broadcast("0", room, "x".repeat(20_000_000))), /^RESOURCE_EXHAUSTED/);
  t.is(await each.add(`{${"é".repeat(127)}`), 1);
  t.true(await client(1).rooms.exists(`{${"é".repeat(127)}`));
});

test.serial("Hook `join` may refuse, on every node, and sees whom and where", async (t) => {
  const room = await freshRoom();
  const asked: unknown[][] = [];
  await using hook = await openAt(0, {
    methods: {
      "room.join": (...args) => {
        asked.push(args);
        if (args[1] === room && (args[0] as { attributes: { auth?: boolean } }).attributes.auth !== true) {
          throw new Error("log in first");
        }
      },
    },
  });
  await using present = await membersOf(await freshRoom());
  for (const { id } of present.members) {
    t.is(await faultText(client(1).rooms.addMember(id, room)), "REFUSED_BY_HOOK: log in first");
    await client(2).apply(id, "set", ["auth", true]);
    await client(1).rooms.addMember(id, room);
    const [details, name] = asked.at(-1) ?? [];
    t.like(details as object, { id, attributes: { auth: true } });
    t.is(name, room);
    t.is((details as { fingerprint?: string }).fingerprint, undefined);
  }
  t.is((await client(0).rooms.roomStatus(room)).membersCount, 3);
  t.truthy(hook.id);
});

test.serial("Hook `leave` may refuse, and sees those who are gone", async (t) => {
  const room = await freshRoom();
  const asked: unknown[] = [];
  await using hook = await openAt(0);
  await hook.connection.registerMethod("room.leave", (details, name) => {
    if (name === room) asked.push((details as { id: string }).id);
    if (name === room) throw new Error("you may not leave");
  });
  await using present = await membersOf(room);
  const [first, second] = present.members;
  t.is(await faultText(second.connection.verb("roomLeave", room)), "REFUSED_BY_HOOK: you may not leave");
  t.is((await client(0).rooms.roomStatus(room)).membersCount, 3);
  await first.connection.quit();
  await eventually(() => asked.includes(first.id), { what: "the hook" });
  t.is((await client(0).rooms.roomStatus(room)).membersCount, 2);
});

test.serial("Hook `say` (per receiver) may change or refuse", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first, second, third] = present.members;
  await using hook = await openAt(2);
  await hook.connection.registerMethod("room.say", (receiver, name, message) => {
    const { id } = receiver as { id: string };
    if (name !== room) return undefined;
    if (id === third.id) throw new Error("not for this one");
    const said = message as { message: string };
    return { ...said, message: id === second.id ? `${said.message}, second` : said.message };
  });
  t.deepEqual(await client(1).rooms.broadcast(first.id, room, "hello"), { nodes: 2, receivers: 2 });
  await textsHeard(t, first, "hello");
  await textsHeard(t, second, "hello, second");
  t.deepEqual(third.heard, []);
});

test.serial("Hook `onSayReceive` (once) may change or refuse", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const [first, second, third] = present.members;
  let asked = 0;
  await using hook = await openAt(1, {
    methods: {
      "room.onSayReceive": (_sender, name, message) => {
        if (name !== room) return undefined;
        asked++;
        const said = message as { message: string };
        if (said.message === "bad") throw new Error("mind your language");
        return { ...said, message: said.message.toUpperCase() };
      },
    },
  });
  await third.connection.verb("say", room, "hello");
  t.is(await faultText(first.connection.verb("say", room, "bad")), "REFUSED_BY_HOOK: mind your language");
  await client(0).rooms.broadcast("0", room, "bye");
  for (const member of [first, second, third]) await textsHeard(t, member, "HELLO", "BYE");
  t.is(asked, 3);
  await hook.connection.quit();
  await eventually(async () => (await client(2).rooms.broadcast("0", room, "hi")).receivers === 3, { what: "an end" });
  await eventually(() => first.heard.at(-1)?.message === "hi", { what: "a message as it was said" });
});

test.serial("A library may be the hook, on every node", async (t) => {
  const room = await freshRoom();
  await client(0).load(`#!js name=hooks api_version=1.0
    redis.register_rpc_method("room.join", async (client, connection, room) => {
      if (room === ${JSON.stringify(room)} && connection.type !== "member") throw new Error("members only");
    });
    redis.register_rpc_method("room.onSayReceive", async (client, connection, room, message) =>
      room === ${JSON.stringify(room)} ? { ...message, message: message.message + "!" } : null);`);
  try {
    for (const index of [0, 1, 2]) {
      await using stranger = await openAt(index);
      t.regex(
        await faultText(client(index + 1).rooms.addMember(stranger.id, room)),
        /^REFUSED_BY_HOOK: .*members only/,
      );
      await using member = await openAt(index, { type: "member" });
      await client(index + 1).rooms.addMember(member.id, room);
      await client(index + 2).rooms.broadcast("0", room, "welcome");
      await textsHeard(t, member, "welcome!");
    }
  } finally {
    await client(0).delete("hooks");
  }
});

test.serial("a hook that does not answer in time lets nobody in", async (t) => {
  const room = await freshRoom();
  await using hook = await openAt(0);
  await hook.connection.registerMethod("room.join", (_details, name) =>
    name === room ? new Promise(() => undefined) : undefined,
  );
  await using member = await openAt(1);
  t.regex(await faultText(client(2).rooms.addMember(member.id, room)), /^DEADLINE_EXCEEDED/);
  t.is((await client(2).rooms.roomStatus(room)).membersCount, 0);
});

test("Client verbs: roomAdd, roomLeave, roomView, say", async (t) => {
  const room = await freshRoom();
  await using one = await openAt(0);
  await using other = await openAt(1);
  t.is(await one.connection.verb("roomAdd", room), null);
  t.is(await other.connection.verb("roomAdd", room), null);
  const view = (await one.connection.verb("roomView", room)) as { members: Record<string, { id: string }> };
  t.like(view, { room, membersCount: 2 });
  t.deepEqual(Object.keys(view.members).sort(), [one.id, other.id].sort());
  t.like(view.members[other.id], { id: other.id, node: other.connection.details.node });
  t.is(await one.connection.verb("say", room, "hi"), null);
  await textsHeard(t, other, "hi");
  t.is(await other.connection.verb("roomLeave", room), null);
  await one.connection.verb("say", room, "still there?");
  await textsHeard(t, one, "hi", "still there?");
  t.is(other.heard.length, 1);
});

test("Client verbs: detailsView shows rooms, and quit leaves them", async (t) => {
  const room = await freshRoom();
  const member = await openAt(0);
  await member.connection.verb("roomAdd", room);
  t.like(await member.connection.verb("detailsView"), { id: member.id, rooms: [room] });
  await member.connection.quit();
  await eventually(async () => (await client(1).rooms.roomStatus(room)).membersCount === 0, { what: "an empty room" });
  t.pass();
});

test("what one member says arrives in order at members on every node, once each", async (t) => {
  const room = await freshRoom();
  await using present = await membersOf(room);
  const said = present.members.map(({ connection }, member) =>
    Promise.all(Array.from({ length: 100 }, (_, n) => connection.verb("say", room, [member, n]))),
  );
  await Promise.all(said);
  for (const { heard } of present.members) {
    await eventually(() => heard.length === 300, { what: "300 messages" });
    for (const sender of [0, 1, 2]) {
      const numbers = heard.map(({ message }) => message as number[]).filter(([member]) => member === sender);
      t.deepEqual(
        numbers.map(([, n]) => n),
        Array.from({ length: 100 }, (_, n) => n),
      );
    }
  }
});

test("a room's members can be watched from every node", async (t) => {
  const room = await freshRoom();
  await using first = await openAt(0);
  await client(1).rooms.addMember(first.id, room);
  const watches = clients.map(({ rooms: each }) => {
    const events: RoomEvent[] = [];
    const over = (async () => {
      for await (const event of each.watch(room)) events.push(event);
    })();
    return { events, over };
  });
  const seen = (count: number) =>
    eventually(() => watches.every(({ events }) => events.length === count), { what: `${count} events` });
  await seen(1);
  await using second = await openAt(2);
  await client(0).rooms.addMember(second.id, room);
  await seen(2);
  await client(0).rooms.removeMember(first.id, room);
  await seen(3);
  await second.connection.quit();
  await seen(4);
  await client(1).rooms.destroy(room);
  for (const { events, over } of watches) {
    await over;
    const [status, joined, left, gone, destroyed] = events;
    t.is(status?.kind === "status" && status.status.membersCount, 1);
    t.is(joined?.kind === "joined" && joined.member.id, second.id);
    t.is(left?.kind === "left" && left.id, first.id);
    t.is(gone?.kind === "left" && gone.id, second.id);
    t.is(destroyed?.kind, "destroyed");
  }
  for (const { coordinator } of cluster.nodes) {
    const watched = async () => (await metricOf(coordinator, "gearmesh_room_watches")) === 0;
    t.true(await eventually(watched, { what: "an end of the watches" }));
  }
});

test("a connection that is resumed on another node is in its rooms there, once", async (t) => {
  const room = await freshRoom();
  const gone = await freshRoom();
  await using other = await openAt(2);
  await client(0).rooms.addMember(other.id, room);
  const former = await openAt(0);
  for (const each of [room, gone]) await former.connection.verb("roomAdd", each);
  const { joinedAt } = (await client(1).rooms.roomStatus(room)).members.get(former.id) ?? {};
  former.connection.abandon();
  await client(2).rooms.broadcast("0", room, "while away");
  await client(2).rooms.destroy(gone);
  await using resumed = await openAt(1, { resume: former.connection.resumePoint });
  t.is(resumed.id, former.id);
  t.deepEqual((await client(2).apply(resumed.id)).details.rooms, [room]);
  t.deepEqual(await client(2).rooms.broadcast(resumed.id, room, "back"), { nodes: 2, receivers: 2 });
  await eventually(() => resumed.heard.length === 3, { what: "three messages" });
  t.deepEqual(
    resumed.heard.map(({ message }) => message),
    ["while away", "this room has been deleted", "back"],
  );
  const status = await client(0).rooms.roomStatus(room);
  t.is(status.membersCount, 2);
  t.deepEqual(status.members.get(resumed.id), {
    id: resumed.id,
    joinedAt: joinedAt ?? new Date(0),
    node: resumed.connection.details.node,
  });
});

test("a connection that left a room on another node is not in it where it comes back to", async (t) => {
  const room = await freshRoom();
  await using stays = await openAt(0);
  await client(0).rooms.addMember(stays.id, room);
  const first = await openAt(0);
  await first.connection.verb("roomAdd", room);
  first.connection.abandon();
  const second = await openAt(1, { resume: first.connection.resumePoint });
  await second.connection.verb("roomLeave", room);
  second.connection.abandon();
  await using third = await openAt(0, { resume: second.connection.resumePoint });
  t.deepEqual(await client(2).rooms.broadcast("0", room, "not for everybody"), { nodes: 1, receivers: 1 });
  await textsHeard(t, stays, "not for everybody");
  t.deepEqual([...(await client(2).rooms.roomStatus(room)).members.keys()], [stays.id]);
  t.deepEqual([third.connection.details.rooms, third.heard], [[], []]);
});

test("nothing of this can be called or heard without the token", async (t) => {
  const room = await freshRoom();
  await using stranger = connect({
    address: cluster.nodes[0]?.coordinator.address ?? "",
    token: "not the token at all",
  });
  const { rooms: each } = stranger;
  for (const attempt of [
    each.list(),
    each.add("x"),
    each.destroy(room),
    each.exists(room),
    each.roomStatus(room),
    each.addMember("x", room),
    each.removeMember("x", room),
    each.broadcast("0", room, "hi"),
    Array.fromAsync(each.watch(room)),
  ]) {
    t.regex(await faultText(attempt), /^UNAUTHENTICATED/);
  }
});
