import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** How a coordinator is started. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  /** All of its environment; settings and secrets go here, since every user of the machine can read a command line. */
  readonly env: NodeJS.ProcessEnv;
}

/**
 * The process of one instance. It leads a process group of its own, so that a Ctrl-C in the terminal reaches only the supervisor, and so that what it started
 * can be killed with it. It has a channel to us and ends by itself when that is gone, however we ended.
 */
export class InstanceProcess {
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child;
    this.pid = pid;
  }

  /** `ended`: told once how it ended, in words; also where it did not even start, and then nothing is returned. */
  static start(launch: Launch, logPath: string, ended: (how: string) => void): InstanceProcess | undefined {
    const { command, args, env } = launch;
    const log = openSync(logPath, "a", 0o600);
    try {
      const child = spawn(command, args, { env, detached: true, stdio: ["ignore", log, log, "ipc"] });
      child.once("error", ({ message }) => child.pid === undefined && ended(`it could not be started: ${message}`));
      child.once("exit", (code, signal) => ended(signal === null ? `exit code ${code}` : `signal ${signal}`));
      return child.pid === undefined ? undefined : new InstanceProcess(child, child.pid);
    } finally {
      closeSync(log);
    }
  }

  /** SIGKILL is for all that it started, too. */
  signal(signal: "SIGTERM" | "SIGKILL"): void {
    if (signal === "SIGTERM") this.#child.kill(signal);
    else killGroup(this.pid);
  }
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nobody was left.
  }
}
