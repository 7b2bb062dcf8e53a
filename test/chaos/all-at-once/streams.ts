import type { ExecutionContext } from "ava";
import type { GearmeshClient } from "../../../src/client/client.ts";
import type { Connection } from "../../../src/client/connection.ts";
import type { RoomEvent } from "../../../src/client/rooms.ts";
import { eventually } from "../../support/eventually.ts";
import { Listener } from "../../support/listener.ts";
import { StorageWatcher } from "../../support/storage-watcher.ts";

const TYPE = "power";
const ROOM = "the room";

/** A connection that serves a method, is in a room, and hears what is said to it. */
class Member {
  readonly connection: Connection;
  readonly heard: unknown[] = [];
  resumed = 0;
  closed: Error | undefined;

  private constructor(connection: Connection) {
    this.connection = connection;
  }

  static async open(client: GearmeshClient, name: string): Promise<Member> {
    const hear = (message: unknown) => member.heard.push(message);
    const connection = await client.open({
      params: { name },
      methods: { "power.name": () => name },
      onMessage: hear,
      onRoomMessage: ({ message }) => hear(message),
      onResumed: () => {
        member.resumed++;
      },
      onClosed: (fault) => {
        member.closed = fault;
      },
    });
    const member: Member = new Member(connection);
    await client.apply(connection.id, "set", ["auth", name]);
    await connection.verb("roomAdd", ROOM);
    return member;
  }
}

/** All that clients keep open: subscriptions, watches and connections, one of each at each client. */
export class Streams implements AsyncDisposable {
  readonly #clients: readonly GearmeshClient[];
  readonly #listeners: Listener[] = [];
  readonly #watchers: StorageWatcher[] = [];
  readonly #members: Member[] = [];
  readonly #stop = new AbortController();
  /** Of the room that the members are in, as each client watches it. */
  readonly #roomEvents: RoomEvent[][] = [];
  readonly #failures: unknown[] = [];
  readonly #reading: Promise<void>[] = [];

  private constructor(clients: readonly GearmeshClient[]) {
    this.#clients = clients;
  }

  static async open(clients: readonly GearmeshClient[]): Promise<Streams> {
    const streams = new Streams(clients);
    await clients[0]?.rooms.add(ROOM);
    await clients[0]?.storage.put("watched/before", "before");
    for (const [index, client] of clients.entries()) {
      streams.#listeners.push(await Listener.open(client, TYPE));
      streams.#watchers.push(await StorageWatcher.open(client, { prefix: "watched/" }));
      streams.#members.push(await Member.open(client, `member ${index}`));
      streams.#reading.push(streams.#readRoom(client));
    }
    const isTold = (events: readonly RoomEvent[]) => events[0]?.kind === "status";
    await eventually(() => streams.#roomEvents.every(isTold), { what: "watches of the room" });
    return streams;
  }

  /** All of them are there again, and hear what is new. */
  async comeBack(t: ExecutionContext): Promise<void> {
    const [first] = this.#clients;
    if (!first) return t.fail();
    await this.#membersComeBack(t, first);
    await first.storage.put("watched/after", "after");
    for (const watcher of this.#watchers) {
      await watcher.sees({ "watched/before": "before", "watched/after": "after" });
      t.deepEqual(watcher.disorder, []);
    }
    const subscribed = ({ events }: Listener) => events.filter(({ kind }) => kind === "subscribed").length;
    await eventually(() => this.#listeners.every((listener) => subscribed(listener) > 1), { what: "subscriptions" });
    t.like(await first.publish(TYPE, "after"), { subscribers: this.#listeners.length });
    for (const listener of this.#listeners) {
      t.deepEqual(
        (await listener.count(1)).map(({ payload }) => payload),
        ["after"],
      );
      t.is(listener.fault, undefined);
    }
    t.deepEqual(this.#failures, []);
  }

  async #membersComeBack(t: ExecutionContext, client: GearmeshClient): Promise<void> {
    const ids = this.#members.map(({ connection }) => connection.id).sort();
    await eventually(() => this.#members.every(({ resumed, closed }) => resumed > 0 || closed), {
      what: "connections",
    });
    for (const { connection, closed } of this.#members) {
      t.is(closed, undefined);
      const { details, value } = await client.apply(connection.id, "power.name");
      t.deepEqual([details.params, details.attributes, details.rooms], [{ name: value }, { auth: value }, [ROOM]]);
      t.is(await connection.rpc("ping").then((replies) => replies.length), this.#clients.length);
      await client.apply(connection.id, "sendMessage", ["to you"]);
    }
    t.deepEqual([...(await client.rooms.roomStatus(ROOM)).members.keys()].sort(), ids);
    t.like(await client.rooms.broadcast("0", ROOM, "to all"), { receivers: ids.length });
    const told = (events: readonly RoomEvent[]) => events.filter(({ kind }) => kind === "status").length;
    await eventually(() => this.#roomEvents.every((events) => told(events) > 1), { what: "watches of the room again" });
    for (const { heard } of this.#members) {
      await eventually(() => heard.length >= 2, { what: "both messages" });
      t.deepEqual(heard, ["to you", "to all"]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    const open = [...this.#listeners, ...this.#watchers, ...this.#members.map(({ connection }) => connection)];
    await Promise.all([...open.map((each) => each[Symbol.asyncDispose]()), ...this.#reading]);
  }

  async #readRoom(client: GearmeshClient): Promise<void> {
    const events: RoomEvent[] = [];
    this.#roomEvents.push(events);
    try {
      for await (const event of client.rooms.watch(ROOM, { signal: this.#stop.signal })) events.push(event);
    } catch (thrown) {
      this.#failures.push(thrown);
    }
  }
}
