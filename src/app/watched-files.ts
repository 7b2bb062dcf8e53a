import { readFile } from "node:fs/promises";
import type { SecretFiles } from "./config/secrets.ts";

/** How often the files are read. A secret that Kubernetes mounts is replaced by way of links, which nobody is told of. Unit: ms. */
const PERIOD_MS = 1000;

export interface WatchedFilesParts<T> {
  readonly files: SecretFiles<T>;
  /** What they held at the start. */
  readonly value: T;
  readonly changed: (value: T) => void;
  /** They have changed and cannot be used: the value stays. Told once for what they hold. */
  readonly refused: (paths: readonly string[], problem: string) => void;
}

/** Files that are read again and again; what they hold counts once all of it can be used. */
export class WatchedFiles<T> {
  readonly #parts: WatchedFilesParts<T>;
  /** By which the value, and the files when they were read last, are told apart from others. */
  #value: string;
  #seen: string | undefined;
  #candidate: string | undefined;
  #isLooking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: WatchedFilesParts<T>) {
    this.#parts = parts;
    this.#value = JSON.stringify(parts.value);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), PERIOD_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    const { paths } = this.#parts.files;
    try {
      const texts = await Promise.all(paths.map((path) => readFile(path, "utf8")));
      this.#take(JSON.stringify(texts), () => this.#parts.files.parse(texts));
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
      this.#take(code, () => {
        throw new Error(`they cannot be read (${code})`);
      });
    } finally {
      this.#isLooking = false;
    }
  }

  #take(seen: string, parse: () => T): void {
    if (seen === this.#seen) return;
    // Twice the same, or somebody may be in the midst of writing, or between a certificate and its key.
    if (seen !== this.#candidate) {
      this.#candidate = seen;
      return;
    }
    this.#seen = seen;
    const { files, changed, refused } = this.#parts;
    let value: T;
    try {
      value = parse();
    } catch (error) {
      refused(files.paths, error instanceof Error ? error.message : String(error));
      return;
    }
    const text = JSON.stringify(value);
    if (text === this.#value) return;
    this.#value = text;
    changed(value);
  }
}
