import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

import { modulePath } from "./module-path.ts";

/** What the reaper is told, one JSON document a line. */
export type ReaperOrder =
  | { readonly watch: number }
  | { readonly forget: number }
  | { readonly remove: string }
  | { readonly keep: string };

/**
 * A small process that outlives us however we end, SIGKILL included: when its stdin ends it kills the process groups and
 * removes the directories it was told of. Told before a directory is made and as soon as a process runs.
 */
export class Reaper implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static async start(): Promise<Reaper> {
    // Detached: a Ctrl-C in the terminal must not reach it.
    const child = spawn(process.execPath, [modulePath("./reaper-process", import.meta.url)], {
      detached: true,
      cwd: "/",
      stdio: ["pipe", "ignore", "ignore"],
    });
    await once(child, "spawn");
    // A reaper that somebody killed is noticed by nobody but a later SIGKILL of ours; it must not end us now.
    child.stdin?.on("error", () => undefined);
    child.unref();
    return new Reaper(child);
  }

  tell(order: ReaperOrder): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Lets it do what is left to do, and waits for its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.ref();
    const exited = once(this.#process, "exit");
    this.#process.stdin?.end();
    await exited;
  }
}
