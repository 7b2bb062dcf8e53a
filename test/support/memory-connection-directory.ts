import type { Clock } from "../../src/base/clock.ts";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import type {
  ConnectionClaim,
  ConnectionDirectory,
  ConnectionRecord,
  Holder,
} from "../../src/connections/connection-directory.ts";
import { type ConnectionDetails, connectionDetails } from "../../src/connections/session-codec.ts";

type Verb = keyof ConnectionDirectory;

/** A record, and when its lease and it itself are over. */
interface Entry {
  readonly record: ConnectionRecord;
  leasedUntilMs: number;
  expiresAtMs: number;
}

interface Times {
  readonly leaseMs: number;
  readonly graceMs: number;
}

/** The directory as Redis keeps it, in memory. Nodes reach it by a DirectoryLink each. */
export class MemoryConnectionDirectory {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #times: Times;

  constructor(clock: Clock, times: Times) {
    this.#clock = clock;
    this.#times = times;
  }

  /** What is kept of a connection; undefined: nothing. */
  record(id: string): ConnectionRecord | undefined {
    return this.#entry(id)?.record;
  }

  /** Redis has lost it. */
  lose(id: string): void {
    this.#entries.delete(id);
  }

  put(record: ConnectionRecord): boolean {
    const before = this.record(record.details.id);
    if (before && before.holder.runId !== record.holder.runId) return false;
    this.#write({ ...record, tokenHash: before?.tokenHash ?? record.tokenHash });
    return true;
  }

  claim(tokenHash: string, { connectionId, ...claim }: ConnectionClaim): ConnectionDetails | undefined {
    const before = this.record(connectionId);
    if (before?.tokenHash !== tokenHash) return undefined;
    const details = claim.details ?? before.details;
    this.#write({ ...claim, details });
    return details;
  }

  renew(id: string, holder: Holder): "renewed" | "missing" | "taken" {
    const entry = this.#entry(id);
    if (!entry) return "missing";
    if (entry.record.holder.runId !== holder.runId) return "taken";
    this.#write({ ...entry.record, holder });
    return "renewed";
  }

  find(id: string): { readonly record: ConnectionRecord; readonly isLeased: boolean } | undefined {
    const entry = this.#entry(id);
    return entry && { record: entry.record, isLeased: entry.leasedUntilMs > this.#clock.now() };
  }

  remove(id: string, runId: string, tokenHash: string): void {
    const record = this.record(id);
    if (record?.holder.runId === runId && record.tokenHash === tokenHash) this.#entries.delete(id);
  }

  #write(record: ConnectionRecord): void {
    const leasedUntilMs = this.#clock.now() + this.#times.leaseMs;
    this.#entries.set(record.details.id, { record, leasedUntilMs, expiresAtMs: leasedUntilMs + this.#times.graceMs });
  }

  #entry(id: string): Entry | undefined {
    const entry = this.#entries.get(id);
    if (entry && entry.expiresAtMs > this.#clock.now()) return entry;
    this.#entries.delete(id);
    return undefined;
  }
}

/** Something that was stopped on its way. */
export interface Stopped {
  /** Resolves once it is there. */
  readonly reached: Promise<void>;
  release(): void;
}

interface Stop {
  readonly verb: Verb;
  readonly leg: "request" | "answer";
  reach(): void;
  readonly released: Promise<void>;
}

/** A node's way to the directory: as over one connection, requests arrive in their order, and so do answers. */
export class DirectoryLink implements ConnectionDirectory {
  /** How often each was asked for. */
  readonly asked: Partial<Record<Verb, number>> = {};
  /** What is refused at once, with which code; it was not done. */
  readonly refused = new Map<Verb, FaultCode>();
  /** Whose answers are lost behind what was done. */
  readonly unanswered = new Set<Verb>();
  /** How long each leg of each way takes. */
  latency: () => Promise<void> = async () => undefined;
  readonly #directory: MemoryConnectionDirectory;
  readonly #stops = new Set<Stop>();
  #requests: Promise<void> = Promise.resolve();
  #answers: Promise<void> = Promise.resolve();

  constructor(directory: MemoryConnectionDirectory) {
    this.#directory = directory;
  }

  /** Stops the next one of these, and what comes behind it, until it is released. */
  stop(verb: Verb, leg: "request" | "answer"): Stopped {
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    this.#stops.add({ verb, leg, reach: reached.resolve, released: released.promise });
    return { reached: reached.promise, release: released.resolve };
  }

  put(record: ConnectionRecord): Promise<boolean> {
    const sent = { ...record, details: asSent(record.details) };
    return this.#ask("put", () => this.#directory.put(sent));
  }

  claim(tokenHash: string, { details, ...claim }: ConnectionClaim): Promise<ConnectionDetails | undefined> {
    const sent = { ...claim, details: details && asSent(details) };
    return this.#ask("claim", () => this.#directory.claim(tokenHash, sent));
  }

  renew(id: string, holder: Holder): Promise<"renewed" | "missing" | "taken"> {
    return this.#ask("renew", () => this.#directory.renew(id, holder));
  }

  find(id: string): Promise<{ readonly record: ConnectionRecord; readonly isLeased: boolean } | undefined> {
    return this.#ask("find", () => this.#directory.find(id));
  }

  remove(id: string, runId: string, tokenHash: string): Promise<void> {
    return this.#ask("remove", () => this.#directory.remove(id, runId, tokenHash));
  }

  async #ask<T>(verb: Verb, run: () => T): Promise<T> {
    this.asked[verb] = (this.asked[verb] ?? 0) + 1;
    const refusal = this.refused.get(verb);
    if (refusal) throw new Fault(refusal, "Redis is away");
    const requested = this.#requests.then(() => this.#travel(verb, "request"));
    this.#requests = requested;
    await requested;
    const result = run();
    const answered = this.#answers.then(() => this.#travel(verb, "answer"));
    this.#answers = answered;
    await answered;
    if (this.unanswered.has(verb)) throw new Fault("INDETERMINATE", "Redis did not answer");
    return result;
  }

  async #travel(verb: Verb, leg: Stop["leg"]): Promise<void> {
    await this.latency();
    for (const stop of this.#stops) {
      if (stop.verb !== verb || stop.leg !== leg) continue;
      this.#stops.delete(stop);
      stop.reach();
      await stop.released;
      return;
    }
  }
}

/** As they are when they leave: what changes afterwards is not in them. */
function asSent(details: ConnectionDetails): ConnectionDetails {
  return connectionDetails.decode(connectionDetails.encode(details));
}
