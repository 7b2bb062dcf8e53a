import type { Cluster as RedisCluster } from "ioredis";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import type { GearmeshClient } from "../../src/client/client.ts";
import type { Random } from "./seed.ts";

/** Reads a key on the shard that owns it. */
export const REGISTER_LIBRARY = `#!js name=registers
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("read", async (client, key) => client.run_on_key(key, "get", key));
`;

const READ_TIMEOUT_MS = 5000;

/** A key that one writer sets to 1, 2, 3 and so on. */
interface Register {
  readonly key: string;
  /** The newest version that was sent, and the newest that Redis has said OK to. */
  sent: number;
  written: number;
}

/** What was read, and what of it was wrong. */
export interface Findings {
  reads: number;
  writes: number;
  /** Reads that answered what cannot have been there at any time while they ran. */
  readonly wrong: string[];
  readonly faults: Map<FaultCode, number>;
  /** The slowest read. Unit: ms. */
  slowestMs: number;
}

/**
 * Sets keys through Redis, without gearmesh, and reads them through gearmesh meanwhile. A read is right where its answer is no older than what had been
 * written when it began, and no newer than what had been sent when it ended: with one writer for each key that is what "never stale" means.
 */
export class Registers {
  readonly #redis: RedisCluster;
  readonly #registers: readonly Register[];
  readonly #findings: Findings = { reads: 0, writes: 0, wrong: [], faults: new Map(), slowestMs: 0 };
  #isOver = false;

  constructor(redis: RedisCluster, keys: readonly string[]) {
    this.#redis = redis;
    this.#registers = keys.map((key) => ({ key, sent: 0, written: 0 }));
  }

  /** Writes each key without a pause, and reads with so many readers at a time through any of the clients, until `during` is settled. */
  async check(
    clients: readonly GearmeshClient[],
    { readers, random, during }: { readers: number; random: Random; during: () => Promise<void> },
  ): Promise<Findings> {
    await Promise.all(this.#registers.map((register) => this.#write(register)));
    const work = [
      ...this.#registers.map((register) => this.#writeOn(register)),
      ...Array.from({ length: readers }, () => this.#readOn(clients, random)),
    ];
    try {
      await during();
    } finally {
      this.#isOver = true;
      await Promise.all(work);
    }
    return this.#findings;
  }

  async #writeOn(register: Register): Promise<void> {
    while (!this.#isOver) await this.#write(register);
  }

  async #write(register: Register): Promise<void> {
    const version = ++register.sent;
    await this.#redis.set(register.key, version);
    register.written = version;
    this.#findings.writes++;
  }

  async #readOn(clients: readonly GearmeshClient[], random: Random): Promise<void> {
    const any = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
    while (!this.#isOver) await this.#read(any(clients), any(this.#registers));
  }

  async #read(client: GearmeshClient, register: Register): Promise<void> {
    const findings = this.#findings;
    const { written } = register;
    const startedMs = performance.now();
    try {
      const version = Number(await client.call("registers.read", { args: [register.key], timeoutMs: READ_TIMEOUT_MS }));
      if (!(version >= written && version <= register.sent)) {
        findings.wrong.push(`${register.key} was ${version}, and ${written} to ${register.sent} would have been right`);
      }
    } catch (thrown) {
      const { code, message } = Fault.from(thrown);
      findings.faults.set(code, (findings.faults.get(code) ?? 0) + 1);
      if (code !== "DEADLINE_EXCEEDED") findings.wrong.push(`${register.key}: ${code} ${message}`);
    }
    findings.reads++;
    findings.slowestMs = Math.max(findings.slowestMs, performance.now() - startedMs);
  }
}
