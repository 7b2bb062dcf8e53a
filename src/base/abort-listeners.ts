import type { AbortListener } from "./call-context.ts";

/** Who is told that a call is aborted, each of them once. Rarely more than one: what the call waits for. */
export class AbortListeners {
  #listeners: AbortListener[] = [];

  add(listener: AbortListener): void {
    this.#listeners.push(listener);
  }

  remove(listener: AbortListener): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }

  tell(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) {
      if (typeof listener === "function") listener();
      else listener.handleEvent();
    }
  }
}
