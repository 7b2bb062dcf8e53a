import type { GearmeshClient } from "../../src/client/client.ts";
import type { StorageEvent, WatchTarget } from "../../src/client/storage.ts";
import { eventually } from "./eventually.ts";

/** Watches the storage and makes of the events what there is. */
export class StorageWatcher implements AsyncDisposable {
  readonly events: StorageEvent[] = [];
  /** What was told out of order: a revision that is not greater than the one before of its key. */
  readonly disorder: StorageEvent[] = [];
  /** Values by key, as of the last `synced` and all that came behind it. */
  readonly values = new Map<string, unknown>();
  /** How it ended: undefined while it goes on, or where it was closed. */
  fault: unknown;
  readonly #stop = new AbortController();
  readonly #revisions = new Map<string, number>();
  /** What is shown anew; undefined where nothing is. */
  #anew: Set<string> | undefined;
  readonly #ended: Promise<void>;

  private constructor(client: GearmeshClient, target: WatchTarget) {
    this.#ended = this.#read(client.storage.watch(target, { signal: this.#stop.signal }));
  }

  /** Resolves once it was shown the state. */
  static async open(client: GearmeshClient, target: WatchTarget): Promise<StorageWatcher> {
    const watcher = new StorageWatcher(client, target);
    await eventually(() => watcher.isSynced || watcher.fault, { what: "the state" });
    if (watcher.fault) throw watcher.fault;
    return watcher;
  }

  get isSynced(): boolean {
    return this.events.some(({ kind }) => kind === "synced") && this.#anew === undefined;
  }

  /** Resolves once it knows exactly this. */
  async sees(expected: Readonly<Record<string, unknown>>): Promise<void> {
    const wanted = JSON.stringify(Object.entries(expected).toSorted());
    await eventually(() => this.isSynced && JSON.stringify([...this.values].toSorted()) === wanted, {
      what: `the watcher to see ${wanted.slice(0, 300)}, and not ${JSON.stringify([...this.values]).slice(0, 300)}`,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #read(events: AsyncIterable<StorageEvent>): Promise<void> {
    try {
      for await (const event of events) this.#note(event);
    } catch (error) {
      this.fault = error;
    }
  }

  #note(event: StorageEvent): void {
    this.events.push(event);
    if (event.kind === "missed") this.#anew = new Set();
    if (event.kind === "synced" && this.#anew) {
      for (const key of this.values.keys()) if (!this.#anew.has(key)) this.values.delete(key);
      this.#anew = undefined;
    }
    if (event.kind !== "put" && event.kind !== "deleted") return;
    const { key, revision } = event;
    const before = this.#revisions.get(key) ?? 0;
    // What is shown anew may be known.
    if (revision < before || (revision === before && !this.#anew)) this.disorder.push(event);
    this.#revisions.set(key, revision);
    if (event.kind === "put") {
      this.values.set(key, event.value);
      this.#anew?.add(key);
    } else {
      this.values.delete(key);
      this.#anew?.delete(key);
    }
  }
}
