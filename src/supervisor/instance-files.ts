import { readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const KINDS = ["pid", "log"] as const;

/** `gearmesh-3.pid` and `gearmesh-3.log`, in one directory. */
export class InstanceFiles {
  readonly #directory: string;
  readonly #prefix: string;

  constructor(directory: string, prefix: string) {
    this.#directory = directory;
    this.#prefix = prefix;
  }

  path(number: number, kind: (typeof KINDS)[number]): string {
    return join(this.#directory, `${this.#prefix}-${number}.${kind}`);
  }

  writePid(number: number, pid: number): void {
    writeFileSync(this.path(number, "pid"), `${pid}\n`, { mode: 0o600 });
  }

  removePid(number: number): void {
    rmSync(this.path(number, "pid"), { force: true });
  }

  /** Numbers whose pid file is there: beforehand, those of a supervisor that did not live to remove them. */
  withPid(): readonly number[] {
    const name = new RegExp(`^${this.#prefix}-(\\d+)\\.pid$`);
    return readdirSync(this.#directory).flatMap((file) => {
      const [, number] = name.exec(file) ?? [];
      return number === undefined ? [] : [Number(number)];
    });
  }

  /**
   * Each number's files go to another number, all at once, as two instances may change places. A process goes on writing to its log wherever that goes; what
   * another run left in a log's new place is kept beside it, as `.old`.
   */
  move(moves: readonly { readonly from: number; readonly to: number }[]): void {
    for (const kind of KINDS) {
      for (const { from } of moves) renameIfThere(this.path(from, kind), `${this.path(from, kind)}.moving`);
      for (const { from, to } of moves) {
        if (kind === "log") renameIfThere(this.path(to, kind), `${this.path(to, kind)}.old`);
        renameIfThere(`${this.path(from, kind)}.moving`, this.path(to, kind));
      }
    }
  }
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
