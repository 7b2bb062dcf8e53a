import type { ProcessEnd } from "./sandbox-process.ts";
import type { SandboxConfiguration } from "./settings.ts";

/** Told about the process's life and what it says. */
export interface SandboxObserver {
  started(pid: number): void;
  ended(end: ProcessEnd): void;
  /** Redis answered a function's command with this MOVED. */
  moved(text: string): void;
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
