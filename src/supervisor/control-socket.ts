import { rmSync } from "node:fs";
import { createConnection, createServer, type Server } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Fault } from "../base/fault.ts";

/** What a supervisor says of itself. */
export interface SupervisorStatus {
  readonly pid: number;
  /** Whether it starts its instances again, one at a time. */
  readonly isRolling: boolean;
  /** By their numbers. */
  readonly instances: readonly InstanceStatus[];
}

export interface InstanceStatus {
  /** The node name, after which pid and log file are called, too. */
  readonly name: string;
  /** Absent while it has no process. */
  readonly pid?: number;
  /** `host:port` of the Redis beside it. */
  readonly redis: string;
  /** `host:port` of its gRPC door. Absent while it has no process. */
  readonly address?: string;
  readonly state: "starting" | "ready" | "not ready" | "stopping";
  /** Since its process was started. Unit: ms. */
  readonly uptimeMs: number;
  readonly restarts: number;
}

const TIMEOUT_MS = 5000;
/** Longest path that every system takes for a Unix socket, in bytes. */
const MAX_PATH_BYTES = 100;
const MAX_CONNECTIONS = 16;

/** The socket by which a supervisor says that it lives, and how its instances are: unlike a pid, nobody else can have it by chance. */
export class ControlSocket {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Rejects with INVALID_ARGUMENT or UNAVAILABLE where it cannot be had: another supervisor has it, for example. */
  static async claim(directory: string, status: () => SupervisorStatus): Promise<ControlSocket> {
    const path = pathIn(directory);
    const other = await askSupervisor(directory);
    if (other) {
      throw new Fault(
        "UNAVAILABLE",
        `a cluster runs in ${directory} already (process ${other.pid}): stop it, or use another --directory`,
      );
    }
    rmSync(path, { force: true });
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(JSON.stringify(status()));
    });
    server.maxConnections = MAX_CONNECTIONS;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", (cause) => reject(new Fault("UNAVAILABLE", `cannot listen on ${path}`, { cause })));
    server.listen(path, resolve);
    await promise;
    return new ControlSocket(server);
  }

  /** The socket's file goes with it. */
  close(): void {
    this.#server.close();
  }
}

/** What the supervisor of this directory says; undefined where none runs. Rejects with UNAVAILABLE where it does not answer. */
export async function askSupervisor(directory: string): Promise<SupervisorStatus | undefined> {
  const path = pathIn(directory);
  const socket = createConnection(path);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error("no answer")));
  try {
    return JSON.parse(await text(socket)) as SupervisorStatus;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ECONNREFUSED") return undefined;
    throw new Fault("UNAVAILABLE", `the supervisor behind ${path} does not answer: ${cause}`, { cause });
  }
}

function pathIn(directory: string): string {
  const path = join(directory, "supervisor.sock");
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return path;
  throw new Fault("INVALID_ARGUMENT", `${path} is too long for a socket: use a --directory with a shorter path`);
}
