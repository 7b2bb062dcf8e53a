import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { startCluster } from "../../src/dev/cluster.ts";
import { askRedis } from "../../src/dev/inline-command.ts";

/** Debian's Python, which is the one its grpc packages are for; another Python on the PATH does not see them. */
const PYTHON = "/usr/bin/python3";

function pathOf(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

function runPython(args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(PYTHON, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      if (error) reject(new Error(`the Python client failed: ${stderr}`, { cause: error }));
      else resolve(stdout);
    });
    child.stdin?.end(input);
  });
}

test("a client in another language loads and calls a function from the .proto files alone", async (t) => {
  await using cluster = await startCluster({ shards: 3 });
  const out = await mkdtemp(join(tmpdir(), "gearmesh-stubs-"));
  t.teardown(() => rm(out, { recursive: true, force: true }));
  const script = pathOf("../support/foreign-client.py");
  const library = pathOf("../support/seed/total-keys.library.js");
  const address = cluster.nodes[0]?.coordinator.address ?? "";
  const printed = await runPython([script, pathOf("../../proto"), out, address, library], `${cluster.token}\n`);
  const counts = await Promise.all(cluster.nodes.map(({ redis }) => askRedis(redis, "DBSIZE")));
  const keys = counts.reduce((sum, count) => sum + Number(count?.slice(1)), 0);
  t.deepEqual(JSON.parse(printed), {
    library: "lib",
    pending: [],
    unary: keys,
    streamed: keys,
    streamFault: "UNKNOWN_FUNCTION",
    refused: { status: "NOT_FOUND", code: "UNKNOWN_FUNCTION", text: "Unknown function none" },
    unauthenticated: "UNAUTHENTICATED",
    shards: 3,
  });
});

test("a client in another language opens a connection, serves a method on it and hears a message", async (t) => {
  await using cluster = await startCluster({ shards: 3 });
  const out = await mkdtemp(join(tmpdir(), "gearmesh-stubs-"));
  t.teardown(() => rm(out, { recursive: true, force: true }));
  const [address = "", other = ""] = cluster.nodes.map(({ coordinator }) => coordinator.address);
  const args = [pathOf("../support/foreign-connection.py"), pathOf("../../proto"), out, address, other];
  t.deepEqual(JSON.parse(await runPython(args, `${cluster.token}\n`)), {
    type: "python",
    resumable: true,
    called: "HELLO MESH",
    samePlace: true,
    heard: [1, { to: "you" }],
    quit: null,
  });
});

test("a client in another language publishes on one node and hears it on another", async (t) => {
  await using cluster = await startCluster({ shards: 3 });
  const out = await mkdtemp(join(tmpdir(), "gearmesh-stubs-"));
  t.teardown(() => rm(out, { recursive: true, force: true }));
  const [address = "", other = ""] = cluster.nodes.map(({ coordinator }) => coordinator.address);
  const args = [pathOf("../support/foreign-pubsub.py"), pathOf("../../proto"), out, address, other];
  t.deepEqual(JSON.parse(await runPython(args, `${cluster.token}\n`)), {
    reached: [1, 1],
    heard: [
      ["greetings", { hello: "mesh" }],
      ["greetings", "00ff"],
    ],
    sameSender: true,
    refused: "INVALID_ARGUMENT",
  });
});
