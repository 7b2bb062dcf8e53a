import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { spreadKeys } from "../support/keys.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

async function gearmesh(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { env: { PATH: process.env["PATH"], ...env } });
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}

test("`gearmesh cache dump` and `restore`: for a person, as JSON, and where the file is none", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
  const { address = "" } = cluster.nodes[0]?.coordinator ?? {};
  const env = { GEARMESH_ADDRESS: address, GEARMESH_SERVER_TOKEN: cluster.token };
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-cache-"));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, "dump");
  await using client = connect({ address, token: cluster.token });
  await client.cache.saveMany(new Map(spreadKeys(50).map((key) => [`kept:${key}`, { key }])));
  await client.cache.push("list", 1);

  const dumped = await gearmesh(env, "cache", "dump", file);
  t.deepEqual(dumped, { code: 0, out: `wrote 51 objects and lists to ${file}\n`, err: "" });
  const some = await gearmesh(env, "cache", "dump", join(directory, "some"), "--pattern", "list*", "--json");
  t.deepEqual(JSON.parse(some.out), { file: join(directory, "some"), written: 1 });

  await client.cache.save("other", 1);
  const cleared = await gearmesh(env, "cache", "restore", file, "--clear", "--json");
  t.deepEqual(JSON.parse(cleared.out), { file, cleared: 52, restored: 51, expired: 0 });
  const restored = await gearmesh(env, "cache", "restore", file);
  t.is(restored.out, "restored 51 objects and lists; 0 objects had expired\n");
  t.is(await client.cache.size(), 51);

  t.is((await gearmesh(env, "cache", "restore", join(directory, "none"))).code, 2);
  const wrong = await gearmesh(env, "cache", "restore", fileURLToPath(import.meta.url));
  t.is(wrong.code, 1);
  t.regex(wrong.err, /cannot be restored from line 1 on/);
  t.deepEqual((await readdir(directory)).sort(), ["dump", "some"]);
});
