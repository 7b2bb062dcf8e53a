import { setTimeout as delay } from "node:timers/promises";
import type { Cluster as RedisCluster } from "ioredis";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import type { GearmeshClient } from "../../src/client/client.ts";
import { eventually } from "./eventually.ts";
import type { Random } from "./seed.ts";

/** Reads a key on the shard that owns it. */
export const REGISTER_LIBRARY = `#!js name=registers
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("read", async (client, key, timeout) => {
  return client.run_on_key(key, { function: "get", timeoutMs: Number(timeout) }, key);
});
`;

/** Answers what was there before. A write that comes late, after one that followed it, changes nothing. */
const WRITE = `local before = tonumber(redis.call("get", KEYS[1]) or 0)
if before < tonumber(ARGV[1]) then redis.call("set", KEYS[1], ARGV[1]) end
return before`;

/** A key that one writer sets to 1, 2, 3 and so on. */
interface Register {
  readonly key: string;
  /** The newest version that was sent, and the newest that Redis has said OK to. */
  sent: number;
  written: number;
  /** Reads older than what Redis had said OK to. Its next answer to a write says whether it has lost that meanwhile. */
  suspects: Suspect[];
}

interface Suspect extends WrongRead {
  readonly version: number;
}

/** A read that answered what cannot have been there at any time while it ran. */
export interface WrongRead {
  readonly key: string;
  readonly text: string;
  readonly endedAtMs: number;
}

/** One read, however it ended. Times are on the monotonic clock. */
export interface Read {
  readonly key: string;
  readonly client: GearmeshClient;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  readonly fault: Fault | undefined;
}

/** What was read, and what of it was wrong. */
export interface Findings {
  reads: number;
  writes: number;
  readonly wrong: WrongRead[];
  readonly faults: Map<FaultCode, number>;
  /** The first fault of each code, for people. */
  readonly faultTexts: Map<FaultCode, string>;
  /** The slowest read. Unit: ms. */
  slowestMs: number;
  /** Writes that Redis had said OK to and then lost, in a failover. */
  lostWrites: number;
  /** Reads that saw such a loss: older than what Redis had said OK to, and as old as what was left of it. */
  readsOfLoss: number;
}

export interface CheckOptions {
  /** Of any of them. */
  readonly clients: readonly GearmeshClient[];
  /** How many read at a time. */
  readonly readers: number;
  /** Between two writes of one key. Default: none. Unit: ms. */
  readonly writePauseMs?: number;
  /** Deadline of each read. Unit: ms. */
  readonly timeoutMs: number;
  readonly random: Random;
  readonly ended?: (read: Read) => void;
  /** The check ends when it does. */
  readonly during: () => Promise<void>;
}

/**
 * Sets keys through Redis, without gearmesh, and reads them through gearmesh meanwhile. A read is right where its answer is no older than what had been
 * written when it began, and no newer than what had been sent when it ended: with one writer for each key that is what "never stale" means. What Redis
 * itself loses, although it had said OK, is not the reader's fault: each write asks what was there before.
 */
export class Registers {
  readonly #redis: RedisCluster;
  readonly #registers: readonly Register[];
  readonly #findings: Findings = {
    reads: 0,
    writes: 0,
    wrong: [],
    faults: new Map(),
    faultTexts: new Map(),
    slowestMs: 0,
    lostWrites: 0,
    readsOfLoss: 0,
  };
  #isOver = false;

  constructor(redis: RedisCluster, keys: readonly string[]) {
    this.#redis = redis;
    this.#registers = keys.map((key) => ({ key, sent: 0, written: 0, suspects: [] }));
  }

  /** Versions that Redis has said OK to, by key. */
  written(): ReadonlyMap<string, number> {
    return new Map(this.#registers.map(({ key, written }) => [key, written]));
  }

  /** Writes each key without a pause, and reads them, until `during` is settled. */
  async check(options: CheckOptions): Promise<Findings> {
    const writeAll = () => Promise.all(this.#registers.map((register) => this.#writeUntilAccepted(register)));
    await writeAll();
    const work = [
      ...this.#registers.map((register) => this.#writeOn(register, options.writePauseMs)),
      ...Array.from({ length: options.readers }, () => this.#readOn(options)),
    ];
    try {
      await options.during();
    } finally {
      this.#isOver = true;
      await Promise.all(work);
    }
    await writeAll();
    return this.#findings;
  }

  async #writeOn(register: Register, pauseMs = 0): Promise<void> {
    while (!this.#isOver) {
      await this.#writeOnce(register).catch(() => undefined);
      await delay(pauseMs);
    }
  }

  async #writeUntilAccepted(register: Register): Promise<void> {
    const write = () => this.#writeOnce(register).then(() => true);
    await eventually(write, { what: `a write of ${register.key}`, deadlineMs: 60_000 });
  }

  /** Where it fails, Redis may have taken it all the same, now or later. */
  async #writeOnce(register: Register): Promise<void> {
    const findings = this.#findings;
    const version = ++register.sent;
    const before = Number(await this.#redis.eval(WRITE, 1, register.key, version));
    const isLost = before < register.written;
    if (isLost) findings.lostWrites += register.written - before;
    for (const suspect of register.suspects.splice(0)) {
      if (isLost && suspect.version >= before) findings.readsOfLoss++;
      else findings.wrong.push(suspect);
    }
    register.written = version;
    findings.writes++;
  }

  async #readOn(options: CheckOptions): Promise<void> {
    const any = <T>(items: readonly T[]): T => items[Math.floor(options.random() * items.length)] as T;
    while (!this.#isOver) await this.#read(any(options.clients), any(this.#registers), options);
  }

  /** One read more, checked as all others. */
  async read(client: GearmeshClient, key: string, options: Pick<CheckOptions, "timeoutMs" | "ended">): Promise<void> {
    const register = this.#registers.find((each) => each.key === key);
    if (register) await this.#read(client, register, options);
  }

  async #read(
    client: GearmeshClient,
    register: Register,
    { timeoutMs, ended }: Pick<CheckOptions, "timeoutMs" | "ended">,
  ): Promise<void> {
    const findings = this.#findings;
    const { key, written } = register;
    const startedAtMs = performance.now();
    let fault: Fault | undefined;
    try {
      const version = Number(await client.call("registers.read", { args: [key, String(timeoutMs)], timeoutMs }));
      const text = `${key} was ${version}, and ${written} to ${register.sent} would have been right`;
      const endedAtMs = performance.now();
      if (version > register.sent) findings.wrong.push({ key, text, endedAtMs });
      else if (!(version >= written)) register.suspects.push({ key, version, text, endedAtMs });
    } catch (thrown) {
      fault = Fault.from(thrown);
      const { code, message } = fault;
      findings.faults.set(code, (findings.faults.get(code) ?? 0) + 1);
      if (!findings.faultTexts.has(code)) findings.faultTexts.set(code, message);
    }
    const endedAtMs = performance.now();
    findings.reads++;
    findings.slowestMs = Math.max(findings.slowestMs, endedAtMs - startedAtMs);
    ended?.({ key, client, startedAtMs, endedAtMs, fault });
  }
}
