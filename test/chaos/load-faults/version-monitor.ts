import { setTimeout as delay } from "node:timers/promises";
import { connect } from "../../../src/client/client.ts";
import { versionAt } from "../../support/versioned-library.ts";

const PERIOD_MS = 25;

/** Asks one coordinator all the time which version it serves. What it says may go forward only. */
export class VersionMonitor implements AsyncDisposable {
  readonly seen = new Set<number>();
  /** What was served after something newer. */
  readonly backwards: string[] = [];
  calls = 0;
  failures = 0;
  #newest = 0;
  readonly #address: string;
  readonly #token: string;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(address: string, token: string) {
    this.#address = address;
    this.#token = token;
    this.#done = this.#watch();
  }

  /** It is started anew: until it is ready it may serve less than it did. */
  forget(): void {
    this.#newest = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #watch(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      // A new one after each failure: a gRPC channel would wait before it connects again.
      await using client = connect({ address: this.#address, token: this.#token });
      try {
        while (!this.#stop.signal.aborted) {
          this.calls++;
          this.#saw(await versionAt(client));
          await delay(PERIOD_MS);
        }
      } catch {
        this.failures++;
        await delay(PERIOD_MS);
      }
    }
  }

  #saw(version: number): void {
    this.seen.add(version);
    if (version < this.#newest) this.backwards.push(`${this.#address} served ${version} after ${this.#newest}`);
    this.#newest = version;
  }
}
