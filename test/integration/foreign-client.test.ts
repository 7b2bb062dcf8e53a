import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { writeKeys } from "../../src/redis/write-keys.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { spreadKeys } from "../support/keys.ts";

const KEYS = 300;

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

test.serial("a client in another language loads and calls a function from the .proto files alone", async (t) => {
  await using cluster = await startPatientCluster({ shards: 3 });
  const out = await mkdtemp(join(tmpdir(), "gearmesh-stubs-"));
  t.teardown(() => rm(out, { recursive: true, force: true }));
  const script = pathOf("../support/foreign-client.py");
  const library = pathOf("../support/seed/total-keys.library.js");
  const [first] = cluster.nodes;
  if (!first) return t.fail();
  await writeKeys(first.redis, new Map(spreadKeys(KEYS).map((key) => [key, "x"])));
  const args = [script, pathOf("../../proto"), out, first.coordinator.address, library];
  const { unary, streamed, ...others } = JSON.parse(await runPython(args, `${cluster.token}\n`));
  // The coordinators have some of their own, now more and now fewer.
  for (const counted of [unary, streamed]) t.true(counted >= KEYS && counted < KEYS + 50, `${counted}`);
  t.deepEqual(others, {
    library: "lib",
    pending: [],
    streamFault: "UNKNOWN_FUNCTION",
    refused: { status: "NOT_FOUND", code: "UNKNOWN_FUNCTION", text: "Unknown function none" },
    unauthenticated: "UNAUTHENTICATED",
    shards: 3,
  });
});

test.serial("a client in another language opens a connection, serves a method on it and hears a message", async (t) => {
  await using cluster = await startPatientCluster({ shards: 3 });
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

test.serial("a client in another language publishes on one node and hears it on another", async (t) => {
  await using cluster = await startPatientCluster({ shards: 3 });
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

test.serial("a client in another language works tasks that are enqueued on another node", async (t) => {
  await using cluster = await startPatientCluster({ shards: 3 });
  const out = await mkdtemp(join(tmpdir(), "gearmesh-stubs-"));
  t.teardown(() => rm(out, { recursive: true, force: true }));
  const [address = "", other = ""] = cluster.nodes.map(({ coordinator }) => coordinator.address);
  const args = [pathOf("../support/foreign-worker.py"), pathOf("../../proto"), out, address, other];
  t.deepEqual(JSON.parse(await runPython(args, `${cluster.token}\n`)), {
    results: { hello: "HELLO", twice: "TWICE" },
    attempts: [
      ["hello", 1, 0],
      ["twice", 1, 0],
      ["twice", 2, 1],
    ],
    settled: ["", "", ""],
    state: "completed",
    progress: "half",
    workedWhereItIs: true,
  });
});
