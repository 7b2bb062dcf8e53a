import type { ProcessEnd, SandboxProcess } from "./sandbox-process.ts";
import type { SandboxConfiguration } from "./settings.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** Told about the process's life and what it says. */
export interface SandboxObserver {
  started(pid: number): void;
  ended(end: ProcessEnd): void;
  /** A library called redis.log. */
  logged(library: string, text: string): void;
  /** Resident memory of the process. */
  memory(rssBytes: number): void;
  /** The library's runs are refused from now on. */
  quarantined(library: string, reason: string): void;
}

export interface SupervisorParts {
  /** File of the process's composition root. */
  readonly entry: string;
  readonly configuration: SandboxConfiguration;
  /** Who the process is to its Redis, asked for each of its connections; handed through as JSON. May reject. */
  readonly credentials: () => Promise<unknown>;
  readonly observer: SandboxObserver;
}

interface ProcessLife {
  readonly process: SandboxProcess;
  readonly threads: ThreadPool;
  readonly startedMs: number;
}

export type SupervisorState =
  /** `start` was not called yet. */
  | { readonly kind: "idle" }
  /** The process was started and has not taken its configuration yet; runs wait. */
  | ({ readonly kind: "starting" } & ProcessLife)
  | ({ readonly kind: "running" } & ProcessLife)
  /** The process died, and the next start is put off since several did in a row; runs wait. */
  | { readonly kind: "waiting"; readonly timer: NodeJS.Timeout }
  | { readonly kind: "closed" };
