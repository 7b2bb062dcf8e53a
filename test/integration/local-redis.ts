import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimPortBlock } from "../../src/dev/free-ports.ts";

export interface LocalRedis extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** Kills and starts it again on the same port; its data is lost. */
  restart(): Promise<void>;
}

/** One redis-server on loopback, without persistence. */
export async function startRedis(options: { cluster?: boolean; args?: readonly string[] } = {}): Promise<LocalRedis> {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-test-"));
  for (;;) {
    // Its own until the end, also while it does not run: whole clusters start beside it, and each looks for ports before it uses them.
    const block = await claimPortBlock(1);
    const port = block.basePort;
    const run = async () => {
      const settings = ["--port", port, "--bind", "127.0.0.1", "--dir", directory, "--save", "", "--appendonly", "no"];
      const cluster = [
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        2000,
        "--cluster-require-full-coverage",
        "no",
      ];
      const args = [...settings, ...(options.cluster ? cluster : []), ...(options.args ?? [])].map(String);
      const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "ignore"] });
      const ready = Promise.withResolvers<boolean>();
      child.stdout.on("data", (text: Buffer) => {
        if (text.includes("Ready to accept connections")) ready.resolve(true);
      });
      child.once("exit", () => ready.resolve(false));
      return (await ready.promise) ? child : undefined;
    };
    let child = await run();
    if (!child) {
      await block[Symbol.asyncDispose]();
      continue;
    }
    const stop = async () => {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    };
    return {
      host: "127.0.0.1",
      port,
      get process() {
        if (!child) throw new Error("not running");
        return child;
      },
      async restart() {
        await stop();
        child = await run();
      },
      async [Symbol.asyncDispose]() {
        await stop();
        await block[Symbol.asyncDispose]();
        await rm(directory, { recursive: true, force: true });
      },
    };
  }
}

/** Several of them, unrelated until they are made a cluster. */
export async function startRedises(
  count: number,
  options: { cluster?: boolean; args?: readonly string[] } = {},
): Promise<AsyncDisposable & { readonly nodes: readonly LocalRedis[] }> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startRedis(options)));
  return {
    nodes,
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    },
  };
}
