/** Deaths of the sandbox process that one library may cause within the period before its runs are refused. */
export const MAX_KILLS = 3;
const PERIOD_MS = 60_000;

/** Whether one version of a library may run: one whose code keeps ending the sandbox process takes every other library's calls with it. */
export class Quarantine {
  readonly #library: string;
  /** When it ended a process; the last ones only. Unit: ms. */
  #kills: number[] = [];
  #reason: string | undefined;

  constructor(library: string) {
    this.#library = library;
  }

  /** Why its runs are refused; undefined: they are not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Its code was running when the process ended. True: that was once too often, and `reason` says so from now on. */
  blame(nowMs: number): boolean {
    if (this.#reason !== undefined) return false;
    this.#kills = [...this.#kills.filter((killMs) => nowMs - killMs < PERIOD_MS), nowMs];
    if (this.#kills.length < MAX_KILLS) return false;
    this.#reason = `library ${this.#library} is quarantined on this shard until it is loaded anew (with replace): it ended the sandbox process ${MAX_KILLS} times within ${PERIOD_MS / 1000} s`;
    return true;
  }

  lift(): void {
    this.#kills = [];
    this.#reason = undefined;
  }
}
