import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { claimPortBlock } from "../../src/dev/free-ports.ts";
import { Reaper } from "../../src/dev/reaper.ts";
import { findRedisServer, RedisProcess } from "../../src/dev/redis-process.ts";
import { type BenchProcess, startProcess } from "./child-process.ts";
import { type Metric, orderLoad } from "./own-load.ts";
import { ensurePeerPackages } from "./peer-packages.ts";
import { cpuUs } from "./process-cpu.ts";

const CONFIG = fileURLToPath(new URL("../peers/actionhero/config", import.meta.url));

/**
 * Three Actionhero nodes and a connection that the second holds. Calls are made by the first, from within, and by a websocket client of it.
 *
 * They share one standalone Redis: Actionhero does not work on a Redis Cluster, and our three coordinators belong to three masters, of which a standalone
 * Redis is only one. So each has a Redis of its own, of the same binary and with the same settings but for the mode.
 */
export class ActionheroPeer implements AsyncDisposable {
  readonly #inside: BenchProcess<unknown>;
  readonly #outside: BenchProcess<unknown>;
  readonly #redis: RedisProcess;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    inside: BenchProcess<unknown>,
    outside: BenchProcess<unknown>,
    redis: RedisProcess,
    stack: AsyncDisposableStack,
  ) {
    this.#inside = inside;
    this.#redis = redis;
    this.#outside = outside;
    this.#stack = stack;
  }

  /** Installs Actionhero where it is missing. */
  static async start(): Promise<ActionheroPeer> {
    await ensurePeerPackages();
    await using stack = new AsyncDisposableStack();
    const reaper = stack.use(await Reaper.start());
    const { basePort: port } = stack.use(await claimPortBlock(1));
    const directory = await mkdtemp(join(tmpdir(), "gearmesh-actionhero-"));
    reaper.tell({ remove: directory });
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const command = await findRedisServer();
    const redis = new RedisProcess({ command, port, directory: join(directory, "redis"), reaper, mode: "standalone" });
    await stack.use(redis).start();

    const startNode = async (name: string, connectionId = ""): Promise<BenchProcess<{ readonly port: number }>> => {
      const cwd = join(directory, name);
      await mkdir(cwd);
      const env = { ...nodeEnvironment(redis), ACTIONHERO_TITLE: name, BENCH_CONNECTION_ID: connectionId };
      return stack.use(await startProcess<{ port: number }>("peers/actionhero/node-process.ts", { cwd, env }));
    };
    const startClient = async <Ready>(
      file: string,
      node: BenchProcess<{ readonly port: number }>,
      connectionId = "",
    ) => {
      const env = { BENCH_PORT: String(node.ready.port), BENCH_CONNECTION_ID: connectionId };
      return stack.use(await startProcess<Ready>(file, { env }));
    };
    const [holder] = [await startNode("second"), await startNode("third")];
    const held = await startClient<{ connectionId: string }>("peers/actionhero/held-process.ts", holder);
    const { connectionId } = held.ready;
    const inside = await startNode("first", connectionId);
    const outside = await startClient("peers/actionhero/outside-process.ts", inside, connectionId);
    return new ActionheroPeer(inside, outside, redis, stack.move());
  }

  /** CPU time that the first node and its Redis have used. Unit: us. */
  get cpu(): Readonly<Record<"node" | "redis", number>> {
    return { node: cpuUs(this.#inside.pid), redis: cpuUs(this.#redis.pid ?? 0) };
  }

  /** Calls from within the first node. */
  measure(
    call: "to-connection" | "to-all" | "apply" | "save-load",
    metric: Metric,
    durationMs: number,
  ): Promise<number> {
    return orderLoad(this.#inside, { call, metric, durationMs });
  }

  /** The same call from outside, one at a time. */
  measureOverWebsocket(durationMs: number): Promise<number> {
    return orderLoad(this.#outside, { call: "to-connection", metric: "median-latency", durationMs });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

function nodeEnvironment({ host, port }: RedisProcess): Readonly<Record<string, string>> {
  return {
    NODE_ENV: "production",
    // As with us, a call is not worth a line.
    LOG_LEVEL: "error",
    ACTIONHERO_CONFIG: CONFIG,
    REDIS_HOST: host,
    REDIS_PORT: String(port),
    // It would win over the two above.
    REDIS_URL: "",
  };
}
