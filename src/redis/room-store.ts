import { randomUUID } from "node:crypto";
import type { RedisReply } from "../functions/shard-redis.ts";
import type {
  Audience,
  Destroyed,
  HeldMembers,
  Joined,
  Left,
  RoomHolder,
  RoomSelf,
  RoomSnapshot,
  RoomStore,
  StoredMember,
} from "../rooms/room-store.ts";
import { readFailed } from "./read-failure.ts";
import type { RedisScript } from "./redis-script.ts";
import { ADD, AUDIENCE, DESTROY, INDEX, JOIN, LEAVE, RENEW, RESTORE, STATUS } from "./room-scripts.ts";
import type { StoreClient } from "./store-client.ts";
import { textsIn } from "./texts-in.ts";

export interface RoomStoreLimits {
  /** Rooms of the deployment. */
  readonly maxRooms: number;
  /** Members of one room. */
  readonly maxMembers: number;
  /** Members that a status shows. */
  readonly shownMembers: number;
}

const DEFAULT_LIMITS: RoomStoreLimits = { maxRooms: 100_000, maxMembers: 100_000, shownMembers: 10_000 };

/** Rooms whose existence is asked for at the same time. */
const BATCH = 256;

/** One hash for each room, at `<namespace>:room:{<name>}`, and the set of their names, at `<namespace>:{rooms}`. */
export class RedisRoomStore implements RoomStore {
  readonly #client: StoreClient;
  readonly #namespace: string;
  readonly #leaseMs: number;
  readonly #limits: RoomStoreLimits;

  /** `leaseMs`: how long members outlive their node. */
  constructor(client: StoreClient, namespace: string, leaseMs: number, limits: Partial<RoomStoreLimits> = {}) {
    this.#client = client;
    this.#namespace = namespace;
    this.#leaseMs = leaseMs;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** The name is in the index before the room is there, in case this process ends in between; and again behind it, in case somebody saw that there was no room. */
  async add(room: string): Promise<"added" | "exists" | "full"> {
    if (!(await this.#index(room))) return "full";
    const isNew = (await this.#run(ADD, room, [randomUUID()])) === 1n;
    await this.#index(room);
    return isNew ? "added" : "exists";
  }

  async list(): Promise<readonly string[]> {
    const key = this.#indexKey();
    const { reply } = await this.#client.command(key, ["SMEMBERS", key]).catch(readFailed);
    const names = reply instanceof Set ? [...reply].map(String) : textsIn(reply);
    const rooms: string[] = [];
    for (let start = 0; start < names.length; start += BATCH) {
      const batch = names.slice(start, start + BATCH).map(async (room) => ({ room, isThere: await this.exists(room) }));
      for (const { room, isThere } of await Promise.all(batch)) {
        if (isThere) rooms.push(room);
        // It was destroyed, or added, by a process that ended meanwhile. Where it stays for now, the next list finds it.
        else await this.#unindex(room).catch(() => undefined);
      }
    }
    return rooms;
  }

  async exists(room: string): Promise<boolean> {
    const key = this.#keyOf(room);
    const { reply } = await this.#client.command(key, ["EXISTS", key]).catch(readFailed);
    return reply === 1n;
  }

  async destroy(room: string): Promise<Destroyed | undefined> {
    const reply = await this.#run(DESTROY, room, []);
    // The room is gone, whatever becomes of its name: `list` looks.
    await this.#unindex(room).catch(() => undefined);
    if (reply === null) return undefined;
    const [incarnation = "", members, holders, ...nodes] = textsIn(reply);
    const ends = 2 * Number(holders);
    return {
      incarnation,
      members: Number(members),
      holders: holdersIn(nodes.slice(0, ends)),
      watchers: nodes.slice(ends),
    };
  }

  async status(room: string): Promise<RoomSnapshot | undefined> {
    return this.#snapshot(await this.#run(STATUS, room, [String(this.#limits.shownMembers)]).catch(readFailed));
  }

  async watch(room: string, { runId, nodeId }: RoomSelf): Promise<RoomSnapshot | undefined> {
    const args = [String(this.#limits.shownMembers), runId, nodeId, String(this.#leaseMs)];
    return this.#snapshot(await this.#run(STATUS, room, args).catch(readFailed));
  }

  async join(room: string, connectionId: string, self: RoomSelf): Promise<Joined | undefined> {
    const args = [connectionId, ...this.#lease(self), String(this.#limits.maxMembers)];
    const reply = await this.#run(JOIN, room, args);
    if (reply === null) return undefined;
    const [outcome, incarnation = "", revision, joinedAt, ...watchers] = textsIn(reply);
    return {
      outcome: outcome as Joined["outcome"],
      incarnation,
      revision: Number(revision),
      joinedAtMs: Number(joinedAt),
      watchers,
    };
  }

  async leave(room: string, connectionId: string, only?: RoomSelf): Promise<Left | undefined> {
    const reply = await this.#run(LEAVE, room, [connectionId, ...(only ? [only.runId] : [])]);
    if (reply === null) return undefined;
    const [wasMember, ...watchers] = textsIn(reply);
    return { wasMember: wasMember === "1", watchers };
  }

  async audience(room: string, from: string | undefined): Promise<Audience | undefined> {
    const reply = await this.#run(AUDIENCE, room, from === undefined ? [] : [from]).catch(readFailed);
    if (reply === null) return undefined;
    const [incarnation = "", revision, isMember, ...holders] = textsIn(reply);
    return { incarnation, revision: Number(revision), isMember: isMember === "1", holders: holdersIn(holders) };
  }

  async renew(
    room: string,
    incarnation: string,
    { runId, nodeId }: RoomSelf,
    digest: number,
  ): Promise<"renewed" | "differs" | "gone"> {
    const args = [incarnation, runId, nodeId, String(this.#leaseMs), String(digest)];
    const reply = await this.#run(RENEW, room, args);
    if (reply === null) return "gone";
    return String(reply) === "renewed" ? "renewed" : "differs";
  }

  async restore(
    room: string,
    incarnation: string,
    self: RoomSelf,
    { members, undecided }: HeldMembers,
  ): Promise<readonly string[] | undefined> {
    const held = [...members].flatMap(([id, { joinedAtMs }]) => [id, String(joinedAtMs)]);
    let revision = 0;
    for (const { sinceRevision } of members.values()) revision = Math.max(revision, sinceRevision);
    const counts = [String(revision), String(undecided.size)];
    const args = [incarnation, ...this.#lease(self), ...counts, ...undecided, ...held];
    const reply = await this.#run(RESTORE, room, args);
    return reply === null ? undefined : textsIn(reply);
  }

  #lease({ runId, nodeId, name }: RoomSelf): string[] {
    return [runId, nodeId, name, String(this.#leaseMs)];
  }

  async #index(room: string): Promise<boolean> {
    const args = [room, String(this.#limits.maxRooms)];
    return (await INDEX.run(this.#client, this.#indexKey(), args)) === 1n;
  }

  /** Somebody may add the room between finding that it is not there and taking its name out: its name is put back. */
  async #unindex(room: string): Promise<void> {
    const key = this.#indexKey();
    await this.#client.command(key, ["SREM", key, room]);
    if (await this.exists(room)) await this.#index(room);
  }

  #snapshot(reply: RedisReply): RoomSnapshot | undefined {
    if (!Array.isArray(reply)) return undefined;
    const [incarnation, count, fields] = reply as readonly RedisReply[];
    const texts = textsIn(fields ?? []);
    const members = new Map<string, StoredMember>();
    for (let i = 0; i + 1 < texts.length; i += 2) {
      const [field = "", text = ""] = texts.slice(i, i + 2);
      const { joinedAt, node } = JSON.parse(text) as { readonly joinedAt: number; readonly node: string };
      members.set(field.slice(MEMBER.length), { joinedAtMs: joinedAt, node });
    }
    return { incarnation: String(incarnation), count: Number(count), members };
  }

  #run(script: RedisScript, room: string, args: readonly string[]) {
    return script.run(this.#client, this.#keyOf(room), args);
  }

  #indexKey(): string {
    return `${this.#namespace}:{rooms}`;
  }

  /** Encoded, since a brace in a name would change what the hash tag is. */
  #keyOf(room: string): string {
    return `${this.#namespace}:room:{${encodeURIComponent(room)}}`;
  }
}

const MEMBER = "m:";

function holdersIn(texts: readonly string[]): RoomHolder[] {
  const holders: RoomHolder[] = [];
  for (let i = 0; i + 1 < texts.length; i += 2) holders.push({ runId: texts[i] ?? "", nodeId: texts[i + 1] ?? "" });
  return holders;
}
