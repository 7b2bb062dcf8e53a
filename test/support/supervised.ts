import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Cluster } from "../../src/dev/cluster.ts";
import { Daemon } from "../../src/dev/daemon.ts";
import type { Reaper } from "../../src/dev/reaper.ts";
import { surroundings } from "../../src/dev/surroundings.ts";
import { askSupervisor, type InstanceStatus, type SupervisorStatus } from "../../src/supervisor/control-socket.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** `gearmesh cluster start` in a process of its own, ready when all of its instances are. */
export class SupervisorProcess extends Daemon {
  readonly directory: string;
  readonly #env: NodeJS.ProcessEnv;

  constructor({ directory, token }: Cluster, redises: readonly number[], reaper: Reaper) {
    const state = join(directory, "supervised");
    const env = { ...surroundings(), GEARMESH_SERVER_TOKEN: token, GEARMESH_DRAIN_TIMEOUT_MS: "2000" };
    const named = redises.map((port) => `127.0.0.1:${port}`).join(",");
    super(
      {
        name: "the supervisor",
        command: process.execPath,
        args: [MAIN, "cluster", "start", "--directory", state, "--redis", named],
        env,
        directory,
        logName: "supervisor.log",
        async isReady() {
          const { instances = [] } = (await askSupervisor(state).catch(() => undefined)) ?? {};
          return instances.length > 0 && instances.every((instance) => instance.state === "ready");
        },
        readyWithinMs: 60_000,
        stopWithinMs: 30_000,
      },
      reaper,
    );
    this.directory = state;
    this.#env = env;
  }

  async status(): Promise<SupervisorStatus> {
    const status = await askSupervisor(this.directory);
    if (!status) throw new Error("no supervisor runs");
    return status;
  }

  async instance(name: string): Promise<InstanceStatus | undefined> {
    return (await this.status()).instances.find((instance) => instance.name === name);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.pid !== undefined) process.kill(this.pid, signal);
  }

  /** `gearmesh cluster <args>`, for this one. */
  async command(
    ...args: readonly string[]
  ): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
    const child = spawn(process.execPath, [MAIN, "cluster", ...args, "--directory", this.directory], {
      env: this.#env,
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, out, err };
  }

  async log(): Promise<string> {
    return readFile(this.logPath, "utf8");
  }
}
