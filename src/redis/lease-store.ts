import type { RedisReply } from "../functions/shard-redis.ts";
import type { Durability } from "../storage/durability.ts";
import type { Attachment, DueLeases, LeaseState, LeaseStore } from "../storage/lease-store.ts";
import { ATTACH, DETACH, END, GET, GRANT, INDEX, IS_ALIVE, RENEW, TAKE_DUE } from "./lease-scripts.ts";
import { readFailed } from "./read-failure.ts";
import type { RedisScript } from "./redis-script.ts";
import type { ReplicaConfirmation } from "./replica-confirmation.ts";
import type { StoreClient } from "./store-client.ts";
import { textsIn } from "./texts-in.ts";

export interface LeaseStoreLimits {
  /** Leases of the deployment, about: the index is in parts, each of which has a bound. */
  readonly maxLeases: number;
  /** Keys of one lease. */
  readonly maxKeys: number;
}

const DEFAULT_LIMITS: LeaseStoreLimits = { maxLeases: 100_000, maxKeys: 1024 };

/** The index is in parts, so that it is spread over the shards: as many as a hexadecimal digit has values. */
const PARTS = [..."0123456789abcdef"];

/** How long a lease is kept beyond its time, in case nobody looks at it. Unit: ms. */
const LINGER_MS = 60 * 60 * 1000;

/** Leases that are taken out of a part of the index at once, and how long whoever took them has before another one does. Unit: ms. */
const DUE_BATCH = 64;
const DUE_MS = 5000;

export interface RedisLeaseStoreParts {
  readonly client: StoreClient;
  /** For writes that a replica confirms, which holds up what comes behind them. */
  readonly confirmed: StoreClient;
  readonly replicas: ReplicaConfirmation;
  readonly namespace: string;
  readonly limits?: Partial<LeaseStoreLimits>;
}

/** One hash for each lease, at `<namespace>:lease:{<id>}`, and sorted sets of their ids, at `<namespace>:leases:{<first digit of the id>}`. Ids begin with a hexadecimal digit. */
export class RedisLeaseStore implements LeaseStore {
  readonly #parts: RedisLeaseStoreParts;
  readonly #limits: LeaseStoreLimits;

  constructor(parts: RedisLeaseStoreParts) {
    this.#parts = parts;
    this.#limits = { ...DEFAULT_LIMITS, ...parts.limits };
  }

  /** The lease is there before the index tells of it: a process that ends in between leaves one that Redis forgets by itself, and nobody has. */
  async grant(id: string, ttlMs: number): Promise<{ readonly durability: Durability } | "full"> {
    const granted = await this.#write(GRANT, id, [String(ttlMs), String(LINGER_MS)]);
    if (granted && (await this.#index(id, ttlMs))) return { durability: granted.durability };
    await this.forget(id);
    return "full";
  }

  async renew(id: string): Promise<{ readonly ttlMs: number; readonly durability: Durability } | undefined> {
    const renewed = await this.#write(RENEW, id, [String(LINGER_MS)]);
    return renewed && { ttlMs: Number(renewed.reply), durability: renewed.durability };
  }

  async get(id: string): Promise<LeaseState | undefined> {
    const reply = await GET.run(this.#parts.client, this.#keyOf(id), []).catch(readFailed);
    if (reply === null) return undefined;
    const [ttlMs, remainingMs, ...keys] = textsIn(reply);
    return { ttlMs: Number(ttlMs), remainingMs: Number(remainingMs), keys };
  }

  async isAlive(id: string): Promise<boolean> {
    return (await IS_ALIVE.run(this.#parts.client, this.#keyOf(id), []).catch(readFailed)) !== null;
  }

  async attach(id: string, key: string): Promise<Attachment | "full" | undefined> {
    const attached = await this.#write(ATTACH, id, [key, String(this.#limits.maxKeys)]);
    if (!attached) return undefined;
    return attached.reply === 0n ? "full" : { leaseId: id, number: Number(attached.reply) };
  }

  async detach({ leaseId, number }: Attachment, key: string): Promise<void> {
    await DETACH.run(this.#parts.client, this.#keyOf(leaseId), [key, String(number)]);
  }

  async end(
    id: string,
    when: "now" | "if-over",
  ): Promise<{ readonly keys: readonly string[] } | { readonly remainingMs: number } | undefined> {
    const ended = await this.#write(END, id, [when === "now" ? "1" : "0"]);
    if (!ended) return undefined;
    const [left, ...keys] = textsIn(ended.reply);
    return left === "0" ? { keys } : { remainingMs: Number(left) };
  }

  /** The index last: what is in there and is no lease is taken out at the next look. */
  async forget(id: string): Promise<void> {
    const { client } = this.#parts;
    const [key, index] = [this.#keyOf(id), this.#indexKeyOf(id)];
    await client.command(key, ["DEL", key]);
    await client.command(index, ["ZREM", index, id]);
  }

  async postpone(id: string, remainingMs: number): Promise<void> {
    await this.#index(id, remainingMs);
  }

  async takeDue(): Promise<DueLeases> {
    const args = [String(DUE_BATCH), String(DUE_MS)];
    const taken = PARTS.map((part) => TAKE_DUE.run(this.#parts.client, this.#indexKeyOf(part), args));
    const ids: string[] = [];
    let known = 0;
    for (const outcome of await Promise.allSettled(taken)) {
      // A shard that is away has its leases looked at when it is back.
      if (outcome.status === "rejected") continue;
      const [count, ...due] = textsIn(outcome.value);
      known += Number(count);
      ids.push(...due);
    }
    return { ids, known };
  }

  /** Undefined: there is no such lease, and nothing was written. */
  async #write(
    script: RedisScript,
    id: string,
    args: readonly string[],
  ): Promise<{ readonly reply: RedisReply; readonly durability: Durability } | undefined> {
    const { confirmed, replicas } = this.#parts;
    const { reply, connection } = await script.send(confirmed, this.#keyOf(id), args);
    return reply === null ? undefined : { reply, durability: await replicas.of(connection) };
  }

  async #index(id: string, afterMs: number): Promise<boolean> {
    const maxIds = String(Math.ceil(this.#limits.maxLeases / PARTS.length));
    return (await INDEX.run(this.#parts.client, this.#indexKeyOf(id), [id, String(afterMs), maxIds])) === 1n;
  }

  #keyOf(id: string): string {
    return `${this.#parts.namespace}:lease:{${id}}`;
  }

  #indexKeyOf(id: string): string {
    return `${this.#parts.namespace}:leases:{${id.slice(0, 1)}}`;
  }
}
