import { setTimeout as delay } from "node:timers/promises";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import type { GearmeshClient } from "../../../src/client/client.ts";
import { eventually } from "../../support/eventually.ts";

/** Of each call. Unit: ms. */
export const TIMEOUT_MS = 3000;
/** Between two calls of one kind by one client: what starts again needs a core, too. Unit: ms. */
const PAUSE_MS = 30;
/** Calls of each kind that succeed before, and again after. */
const PEACE = 5;

/** Nobody knows whether it was done. */
const UNKNOWN: readonly FaultCode[] = ["INDETERMINATE", "DEADLINE_EXCEEDED"];

/** A kind of call that one client makes over and over. */
class Caller {
  readonly what: string;
  readonly faults = new Map<string, number>();
  /** Of those that succeeded, and of those of which nobody knows. */
  done = 0;
  unknown = 0;
  longestMs = 0;
  readonly #make: () => Promise<unknown>;

  constructor(what: string, make: () => Promise<unknown>) {
    this.what = what;
    this.#make = make;
  }

  async call(): Promise<void> {
    const begunMs = performance.now();
    try {
      await this.#make();
      this.done++;
    } catch (thrown) {
      const code = thrown instanceof Fault ? thrown.code : "INTERNAL";
      if (UNKNOWN.includes(code)) this.unknown++;
      const told = UNKNOWN.includes(code) || code === "UNAVAILABLE" ? code : `${code}: ${thrown}`;
      this.faults.set(told, (this.faults.get(told) ?? 0) + 1);
    }
    this.longestMs = Math.max(this.longestMs, performance.now() - begunMs);
  }
}

/** The function does nothing but one run_on_key: whatever keeps that from being made is thrown into it, by its text alone. Throws what it was. */
function asItsCaller(thrown: unknown): never {
  const { code, message } = Fault.from(thrown);
  throw code === "FUNCTION_FAILED" ? new Fault("UNAVAILABLE", message) : thrown;
}

/** A counter in a key of its own: what it says afterwards shows which of the calls that failed were done. */
export interface Counter {
  readonly what: string;
  readonly caller: Pick<Caller, "done" | "unknown">;
  readonly read: () => Promise<number>;
}

/** Clients that go on making calls, whatever comes of them. */
export class Callers {
  readonly counters: Counter[] = [];
  readonly #callers: Caller[] = [];
  readonly #loops: Promise<void>[] = [];
  #isOver = false;

  constructor(clients: readonly GearmeshClient[]) {
    clients.forEach((client, index) => {
      this.#add(client, index);
    });
  }

  start(): void {
    for (const caller of this.#callers) this.#loops.push(this.#repeat(caller));
  }

  /** Resolves once calls of each kind have succeeded some more times. */
  async haveGoneOn(): Promise<void> {
    const wanted = new Map(this.#callers.map((caller) => [caller, caller.done + PEACE]));
    const behind = () => [...wanted].filter(([{ done }, least]) => done < least).map(([{ what }]) => what);
    try {
      await eventually(() => behind().length === 0, { what: "calls of each kind that succeed" });
    } catch (cause) {
      throw new Error(`none of these succeeds: ${behind().join(", ")}\n${this.table()}`, { cause });
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  /** How each kind of call failed, other than by saying that it was not done, that nobody knows, or that its time was over. */
  unclear(): readonly string[] {
    const codes = ["UNAVAILABLE", ...UNKNOWN];
    return this.#callers.flatMap(({ what, faults }) =>
      [...faults.keys()].filter((told) => !codes.includes(told)).map((told) => `${what}: ${told}`),
    );
  }

  get longestMs(): number {
    return Math.max(...this.#callers.map(({ longestMs }) => longestMs));
  }

  table(): string {
    return this.#callers
      .map(({ what, done, faults, longestMs }) => {
        const failed = [...faults].map(([code, count]) => `${count} ${code}`).join(", ") || "0";
        return `${what.padEnd(36)} ${done} done, ${Math.round(longestMs)} ms at most, failed: ${failed}`;
      })
      .join("\n");
  }

  #add(client: GearmeshClient, index: number): void {
    const stream = client.stream();
    const time = { timeoutMs: TIMEOUT_MS };
    const reads = { ...time, onlyReads: true };
    const kinds: Readonly<Record<string, () => Promise<unknown>>> = {
      "get by key": () => client.call("power.get", { keys: ["some key"], ...reads }),
      "get by key, on CallStream": () => stream.call("power.get", { keys: [`key ${index}`], ...reads }),
      run_on_key: () => stream.call("power.far", { args: [`key ${index}`], ...reads }).catch(asItsCaller),
      "RPC to all nodes": async () => {
        const replies = await client.rpc("power.echo", { args: ["x"], ...time });
        for (const { fault } of replies) if (fault) throw fault;
      },
      "storage get": () => client.storage.get("leased", time),
      "cache save": () => stream.cache.save(`saved ${index}`, index, time),
      "room exists": () => client.rooms.exists("the room", time),
      publish: () => stream.publish("nobody listens", index, time),
      enqueue: () => client.tasks.enqueue("powerEcho", index, time),
      topology: () => client.topology(time),
    };
    for (const [what, make] of Object.entries(kinds)) this.#callers.push(new Caller(`${what} (client ${index})`, make));
    for (const [how, door] of Object.entries({ Call: client, CallStream: stream })) {
      const keys = [`counter ${how} ${index}`];
      const caller = new Caller(`add, on ${how} (client ${index})`, () => door.call("power.add", { keys, ...time }));
      this.#callers.push(caller);
      this.counters.push({
        what: caller.what,
        caller,
        read: async () => Number(await client.call("power.get", { keys })),
      });
    }
  }

  async #repeat(caller: Caller): Promise<void> {
    while (!this.#isOver) {
      await caller.call();
      await delay(PAUSE_MS);
    }
  }
}
