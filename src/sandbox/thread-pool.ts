import { MAIN_THREAD } from "./descriptors.ts";
import type { SandboxProcess } from "./sandbox-process.ts";
import type { SandboxConfiguration } from "./settings.ts";

interface ThreadLoad {
  isReady: boolean;
  /** That it was given and that are not settled. */
  runs: number;
}

/**
 * The threads of one sandbox process. A library's first isolate is on the first of them, its second on the second, and so on; only libraries that
 * ask for several make the process start more than its main thread.
 */
export class ThreadPool {
  readonly #process: SandboxProcess;
  readonly #configuration: SandboxConfiguration;
  readonly #threads: ThreadLoad[] = [];

  constructor(process: SandboxProcess, configuration: SandboxConfiguration) {
    this.#process = process;
    this.#configuration = configuration;
  }

  /** How many were started. */
  get size(): number {
    return this.#threads.length;
  }

  /** Starts the main thread; see the order `configure`. */
  start(traceMs: number): void {
    this.#configure(MAIN_THREAD, traceMs);
  }

  /** Starts those of the first `size` that are missing: they take libraries at once, and runs once they are ready. */
  grow(size: number): void {
    for (let thread = this.#threads.length; thread < size; thread++) {
      this.#process.send({ kind: "thread", thread }, MAIN_THREAD);
      this.#configure(thread, 0);
    }
  }

  ready(thread: number): void {
    const load = this.#threads[thread];
    if (load) load.isReady = true;
  }

  /** Of those that host one of so many isolates, the one with the fewest runs. */
  leastBusy(isolates: number): number {
    let best = MAIN_THREAD;
    let fewest = Number.POSITIVE_INFINITY;
    for (let thread = 0; thread < Math.min(isolates, this.#threads.length); thread++) {
      const load = this.#threads[thread];
      if (!load?.isReady || load.runs >= fewest) continue;
      best = thread;
      fewest = load.runs;
    }
    return best;
  }

  runSent(thread: number): void {
    this.#count(thread, 1);
  }

  runSettled(thread: number): void {
    this.#count(thread, -1);
  }

  #count(thread: number, change: number): void {
    const load = this.#threads[thread];
    if (load) load.runs += change;
  }

  #configure(thread: number, traceMs: number): void {
    this.#threads.push({ isReady: false, runs: 0 });
    this.#process.send({ kind: "configure", configuration: this.#configuration, traceMs }, thread);
  }
}
