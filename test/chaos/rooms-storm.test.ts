import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Connection, OpenOptions } from "../../src/client/connection.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { DEFAULT_TIMES, startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type Random, seededRandom } from "../support/seed.ts";

const CONNECTIONS = 1000;
const ROOMS = 20;
const OPERATIONS = 6000;
const WORKERS = 48;
/** Connections of the killed node whose clients are gone with it. */
const LOST = 40;
/** Connections of other nodes that lose their link and are resumed by another client. */
const AWAY = 30;
const LEASE_MS = 4000;
/** Stands for the sender where a server said it. */
const SERVER = -1;

/** What was said: by whom, and its how manieth message that is. */
type Said = readonly [sender: number, n: number];

interface Member {
  readonly index: number;
  readonly client: number;
  connection: Connection;
  /** Rooms it is in; undefined for one where that is not known, since an operation was lost. */
  readonly rooms: Map<string, boolean | undefined>;
  readonly heard: Said[];
  /** Messages it has said. */
  said: number;
  missedUnknown: number;
  isGone: boolean;
  isBusy: boolean;
}

/** Faults that leave open whether something happened, or say that it did not. */
const LOST_LINK = new Set(["UNAVAILABLE", "INDETERMINATE", "CANCELLED", "UNKNOWN_CONNECTION", "DEADLINE_EXCEEDED"]);

/** Refusals that say whether a member is in the room: how an operation ended that was lost before. */
const REFUSALS = new Map([
  ["ALREADY_IN_ROOM", true],
  ["NOT_IN_ROOM", false],
]);

test("1,000 connections join, leave and say in 20 rooms while a coordinator is killed: all ends as it was told", async (t) => {
  const random = seededRandom(t);
  await using cluster = await startTestCluster(t, {
    shards: 3,
    env: { ...DEFAULT_TIMES, GEARMESH_ROOM_LEASE_MS: String(LEASE_MS), GEARMESH_CONNECTION_LEASE_MS: String(LEASE_MS) },
  });
  const clients = clientsOf(cluster);
  t.teardown(() => {
    for (const client of clients) client.close();
  });
  const rooms = Array.from({ length: ROOMS }, (_, i) => `room ${i}`);
  for (const [i, room] of rooms.entries()) await clients[i % 3]?.rooms.add(room);
  const members = await openAll(clients);
  t.teardown(() => Promise.all(members.map(({ connection }) => connection.abandon())));

  const storm = new Storm(members, rooms, random);
  const [killed = 0, ...survivors] = [Math.floor(random() * 3)].flatMap((k) => [k, (k + 1) % 3, (k + 2) % 3]);
  const lost = members.filter(({ client }) => client === killed).slice(0, LOST);
  const away = members.filter(({ client }) => client !== killed).slice(0, AWAY);
  await storm.run(OPERATIONS / 2);
  await storm.settle(lost);
  for (const member of lost) {
    member.isGone = true;
    member.connection.abandon();
  }
  const killing = cluster.nodes[killed]?.coordinator.kill("SIGKILL");
  await storm.run(OPERATIONS / 2);
  await killing;
  const held = members.filter(({ isGone }) => !isGone);
  await eventually(() => held.every(({ connection }) => connection.isLinked), { what: "every link" });

  await checkAway(t, storm, away, clients, survivors);
  await checkMembership(
    t,
    storm,
    held,
    survivors.map((at) => clients[at] as GearmeshClient),
  );
  checkHeard(t, held);
  for (const member of held) {
    if (member.client !== killed) t.is(member.missedUnknown, 0, `member ${member.index}`);
  }
});

/** Does this and that with members that nothing else is done with at the moment. */
class Storm {
  readonly members: readonly Member[];
  readonly rooms: readonly string[];
  readonly #random: Random;

  constructor(members: readonly Member[], rooms: readonly string[], random: Random) {
    this.members = members;
    this.rooms = rooms;
    this.#random = random;
  }

  async run(operations: number): Promise<void> {
    let left = operations;
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        const member = this.#pick(this.members);
        if (member.isGone || member.isBusy || !member.connection.isLinked) {
          await new Promise(setImmediate);
          continue;
        }
        member.isBusy = true;
        await this.#operate(member).finally(() => {
          member.isBusy = false;
        });
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
  }

  /** Waits until nothing is done with these members. */
  async settle(members: readonly Member[]): Promise<void> {
    await eventually(() => members.every(({ isBusy }) => !isBusy), { what: "members that are left alone" });
  }

  async #operate(member: Member): Promise<void> {
    const joined = [...member.rooms].filter(([, isIn]) => isIn === true).map(([room]) => room);
    const [choice, first] = [this.#random(), joined[0]];
    if (first === undefined || (choice < 0.2 && joined.length < 3)) await this.#join(member, this.#pick(this.rooms));
    else if (choice < 0.35) await this.#leave(member, first);
    else await this.#say(member, this.#pick(joined));
  }

  async #join(member: Member, room: string): Promise<void> {
    if (member.rooms.get(room) !== true)
      await this.#attempt(member, room, true, () => member.connection.verb("roomAdd", room));
  }

  #leave(member: Member, room: string): Promise<void> {
    return this.#attempt(member, room, false, () => member.connection.verb("roomLeave", room));
  }

  async #attempt(member: Member, room: string, isIn: boolean, operation: () => Promise<unknown>): Promise<void> {
    const wasKnown = !member.rooms.has(room) || member.rooms.get(room) !== undefined;
    member.rooms.set(room, undefined);
    try {
      await operation();
      member.rooms.set(room, isIn);
    } catch (thrown) {
      const { code } = Fault.from(thrown);
      const refused = REFUSALS.get(code);
      // It was asked for since it was known to be otherwise.
      if (refused !== undefined && wasKnown) throw thrown;
      if (refused !== undefined) member.rooms.set(room, refused);
      else if (!LOST_LINK.has(code)) throw thrown;
    }
  }

  /** Three at once, in this order. */
  async #say(member: Member, room: string): Promise<void> {
    const said = [1, 2, 3].map(() => member.connection.verb("say", room, [member.index, member.said++]));
    for (const outcome of await Promise.allSettled(said)) {
      if (outcome.status === "rejected" && !LOST_LINK.has(Fault.from(outcome.reason).code)) throw outcome.reason;
    }
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }
}

function clientsOf({ nodes, token }: Cluster): GearmeshClient[] {
  const addresses = nodes.map(({ coordinator }) => coordinator.address);
  return addresses.map((address, i) => {
    const alternatives = [addresses[(i + 1) % 3], addresses[(i + 2) % 3]].filter((each) => each !== undefined);
    return connect({ address, alternatives, token, timeoutMs: 20_000 });
  });
}

async function openAll(clients: readonly GearmeshClient[]): Promise<Member[]> {
  const members: Member[] = [];
  for (let start = 0; start < CONNECTIONS; start += 50) {
    const batch = Array.from({ length: 50 }, async (_, i) => {
      const index = start + i;
      const client = index % 3;
      const state = {
        index,
        client,
        rooms: new Map(),
        heard: [],
        said: 0,
        missedUnknown: 0,
        isGone: false,
        isBusy: false,
      };
      const member: Partial<Member> & typeof state = state;
      const connection = await clients[client]?.open(listening(member));
      if (!connection) throw new Error("no client");
      return Object.assign(member, { connection }) as Member;
    });
    members.push(...(await Promise.all(batch)));
  }
  return members;
}

function listening(member: Pick<Member, "heard" | "missedUnknown">): OpenOptions {
  return {
    onRoomMessage: ({ message }) => member.heard.push(message as unknown as Said),
    onMissed: (count) => {
      if (count === "unknown") member.missedUnknown++;
      else throw new Error(`${count} messages were dropped`);
    },
  };
}

/** What is said in their rooms while they have no link is there once they are resumed, also on another node. */
async function checkAway(
  t: ExecutionContext,
  storm: Storm,
  away: readonly Member[],
  clients: readonly GearmeshClient[],
  survivors: readonly number[],
): Promise<void> {
  await storm.settle(away);
  const before = away.map((member) => {
    const { heard } = member;
    member.connection.abandon();
    return heard.length;
  });
  const server = clients[survivors[0] ?? 0] as GearmeshClient;
  for (const room of storm.rooms) for (const n of [0, 1, 2]) await server.rooms.broadcast("0", room, [SERVER, n]);
  for (const [i, member] of away.entries()) {
    const client = clients[survivors[i % 2] ?? 0] as GearmeshClient;
    const { resumePoint } = member.connection;
    member.connection = await client.open({ ...listening(member), resume: resumePoint });
    const { rooms } = member.connection.details;
    const expected = 3 * rooms.length;
    const fromServer = () => member.heard.slice(before[i]).filter(([sender]) => sender === SERVER);
    await eventually(() => fromServer().length >= expected, { what: `what member ${member.index} missed` });
    t.is(fromServer().length, expected);
  }
}

async function checkMembership(
  t: ExecutionContext,
  storm: Storm,
  held: readonly Member[],
  clients: readonly GearmeshClient[],
): Promise<void> {
  const expected = new Map(storm.rooms.map((room) => [room, new Set<string>()]));
  for (const { connection, rooms, index } of held) {
    const { details } = await (clients[index % 2] as GearmeshClient).apply(connection.id);
    for (const room of details.rooms) expected.get(room)?.add(connection.id);
    for (const [room, isIn] of rooms) {
      if (isIn !== undefined) t.is(details.rooms.includes(room), isIn, `member ${index}, ${room}`);
    }
  }
  for (const client of clients) {
    for (const [room, ids] of expected) {
      const members = async () => [...(await client.rooms.roomStatus(room)).members.keys()].sort().join(" ");
      const isRight = async () => (await members()) === [...ids].sort().join(" ");
      // Now and from now on: also what is said reaches these, and no others.
      t.true(await eventually(isRight, { what: `the ${ids.size} members of ${room}`, deadlineMs: 60_000 }));
      t.is((await client.rooms.broadcast("0", room, [SERVER, 0])).receivers, ids.size, room);
    }
  }
}

/** Of each sender each message once at most, and in the order in which it was said. */
function checkHeard(t: ExecutionContext, held: readonly Member[]): void {
  let count = 0;
  for (const { heard, index } of held) {
    const last = new Map<number, number>();
    for (const [sender, n] of heard) {
      if (sender === SERVER) continue;
      const before = last.get(sender) ?? -1;
      if (n <= before) t.fail(`member ${index} heard ${n} of ${sender} after ${before}`);
      last.set(sender, n);
      count++;
    }
  }
  t.log(`${count} messages were heard`);
  t.true(count > OPERATIONS);
}
