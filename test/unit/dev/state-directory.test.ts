import { existsSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";

import { Fault } from "../../../src/base/fault.ts";
import { readDevCluster, StateDirectory } from "../../../src/dev/state-directory.ts";

const CLUSTER = {
  token: "0123456789abcdef",
  nodes: [{ redisPort: 1, address: "127.0.0.1:2", opsAddress: "127.0.0.1:3" }],
};

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-state-"));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test("what is published can be read in the same directory, by its owner only, until the end", async (t) => {
  await inDirectory(async (directory) => {
    t.is(await readDevCluster(directory), undefined);
    const state = await StateDirectory.claim(directory);
    await state.publish(CLUSTER);
    t.deepEqual(await readDevCluster(directory), CLUSTER);
    t.is(statSync(state.path).mode & 0o777, 0o700);
    t.is(statSync(join(state.path, "cluster.json")).mode & 0o777, 0o600);
    await state[Symbol.asyncDispose]();
    t.deepEqual(await readdir(directory), []);
  });
});

test("what a dead run left is removed", async (t) => {
  await inDirectory(async (directory) => {
    await mkdir(join(directory, ".gearmesh/redis-7001"), { recursive: true });
    await using state = await StateDirectory.claim(directory);
    t.false(existsSync(join(state.path, "redis-7001")));
    t.deepEqual(await readdir(directory), [".gearmesh"]);
  });
});

test("a running cluster's directory is refused", async (t) => {
  await inDirectory(async (directory) => {
    await mkdir(join(directory, ".gearmesh"));
    await writeFile(join(directory, ".gearmesh/pid"), String(process.ppid));
    const fault = await t.throwsAsync(StateDirectory.claim(directory), { instanceOf: Fault });
    t.is(fault?.code, "UNAVAILABLE");
    t.deepEqual(await readdir(directory), [".gearmesh"]);
  });
});

test("a process id that the system gave to another process does not count once there is a Redis to ask", async (t) => {
  await inDirectory(async (directory) => {
    await mkdir(join(directory, ".gearmesh"));
    await writeFile(join(directory, ".gearmesh/pid"), String(process.ppid));
    await writeFile(join(directory, ".gearmesh/cluster.json"), JSON.stringify(CLUSTER));
    await using state = await StateDirectory.claim(directory);
    t.false(existsSync(join(state.path, "cluster.json")));
  });
});
