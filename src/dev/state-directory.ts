import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { Fault } from "../base/fault.ts";
import { askRedis } from "./inline-command.ts";

const NAME = ".gearmesh";
const CLUSTER_FILE = "cluster.json";
const PID_FILE = "pid";

/** What a development cluster tells the command line in the same directory. */
export interface DevCluster {
  /** The serverToken. */
  readonly token: string;
  readonly nodes: readonly {
    readonly redisPort: number;
    /** `host:port` of the coordinator's gRPC door. */
    readonly address: string;
    readonly opsAddress: string;
  }[];
}

/** The development cluster that runs in `directory`, or undefined where there is none. */
export async function readDevCluster(directory: string): Promise<DevCluster | undefined> {
  const text = await readFile(join(directory, NAME, CLUSTER_FILE), "utf8").catch(() => undefined);
  return text === undefined ? undefined : JSON.parse(text);
}

/** `.gearmesh/`, for its owner's eyes only: data, logs and cluster.json. Gone when the cluster is. */
export class StateDirectory implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Rejects with UNAVAILABLE where a development cluster runs in `directory` already; what a dead one left is removed. */
  static async claim(directory: string): Promise<StateDirectory> {
    const path = join(directory, NAME);
    // Renamed when its content is there, so that of two that start at once one wins, and no one sees it half made.
    const draft = await mkdtemp(`${path}-`);
    try {
      await writeFile(join(draft, PID_FILE), String(process.pid), { mode: 0o600 });
      if (!(await renameTo(draft, path))) {
        await refuseWhereAlive(path);
        await rm(path, { recursive: true, force: true });
        if (!(await renameTo(draft, path))) throw new Fault("UNAVAILABLE", `${path} was taken by another start`);
      }
    } finally {
      await rm(draft, { recursive: true, force: true });
    }
    return new StateDirectory(path);
  }

  async publish(cluster: DevCluster): Promise<void> {
    await writeFile(join(this.path, CLUSTER_FILE), `${JSON.stringify(cluster, null, 2)}\n`, { mode: 0o600 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}

async function renameTo(draft: string, path: string): Promise<boolean> {
  try {
    await rename(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOTEMPTY" || error.code === "EEXIST"))
      return false;
    throw error;
  }
}

/** A process id alone proves nothing, since the system gives it to others later: a Redis must answer too, once there is one. */
async function refuseWhereAlive(path: string): Promise<void> {
  const pid = Number(await readFile(join(path, PID_FILE), "utf8").catch(() => "0"));
  if (pid === 0 || pid === process.pid || !isRunning(pid)) return;
  const cluster = await readDevCluster(dirname(path));
  const [first] = cluster?.nodes ?? [];
  if (first && (await askRedis({ host: "127.0.0.1", port: first.redisPort }, "PING")) === undefined) return;
  throw new Fault(
    "UNAVAILABLE",
    `a development cluster runs here already (process ${pid}); stop it, or delete ${path} where that is not so`,
  );
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
