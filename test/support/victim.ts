import { Fault } from "../../src/base/fault.ts";
import type { GearmeshClient } from "../../src/client/client.ts";

const LIBRARY = `#!js name=victim
redis.register_async_function("f", async (client, n) => client.block((c) => n + ":" + c.call("echo", "right")));
`;

const PERIOD_MS = 20;
const TIMEOUT_MS = 20_000;

/** One call of the victim, as its caller saw it. */
export interface VictimCall {
  readonly startedMs: number;
  readonly tookMs: number;
  /** `OK`, `WRONG ...`, or the code it failed with. */
  readonly ending: string;
}

/** A library that does no harm, called all the time while others do. */
export class Victim implements AsyncDisposable {
  readonly calls: VictimCall[] = [];
  readonly #client: GearmeshClient;
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  private constructor(client: GearmeshClient) {
    this.#client = client;
    this.#timer = setInterval(() => this.#start(), PERIOD_MS);
  }

  static async start(client: GearmeshClient): Promise<Victim> {
    await client.load(LIBRARY);
    return new Victim(client);
  }

  /** The calls that began since then. */
  since(startedMs: number): readonly VictimCall[] {
    return this.calls.filter((call) => call.startedMs >= startedMs);
  }

  /** Resolves once all calls that are under way have ended. */
  async caughtUp(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.caughtUp();
  }

  #start(): void {
    const call = this.#call(String(this.calls.length));
    this.#pending.add(call);
    void call.finally(() => this.#pending.delete(call));
  }

  async #call(n: string): Promise<void> {
    const startedMs = performance.now();
    let ending: string;
    try {
      const answer = await this.#client.call("victim.f", { args: [n], timeoutMs: TIMEOUT_MS });
      ending = answer === `${n}:right` ? "OK" : `WRONG ${String(answer)}`;
    } catch (thrown) {
      ending = Fault.from(thrown).code;
    }
    this.calls.push({ startedMs, tookMs: performance.now() - startedMs, ending });
  }
}
