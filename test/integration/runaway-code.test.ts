import { readFile } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { keyOn } from "../support/keys.ts";

const LIBRARY = `#!js name=hostile
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_remote_function("write", async (client, key) => client.block((c) => c.call("set", key, "1")));
redis.register_remote_function("hop", async (client, left, key) => {
  if (left === 0) return 0;
  return 1 + (await client.run_on_key(key.next, "hop", left - 1, { next: key.after, after: key.next }));
});
redis.register_async_function("write", async (client, key) => client.run_on_key(key, "write", key));
redis.register_async_function("spin", async () => { while (true); });
redis.register_async_function("spin_later", async (client, key) => {
  await client.run_on_key(key, "read", key);
  while (true);
});
redis.register_async_function("innocent", async (client, key) => {
  let seen = 0;
  for (let i = 0; i < 20; i++) { await client.run_on_key(key, "read", key); seen++; }
  return seen;
});
redis.register_async_function("chain", async (client, hops, here, there) =>
  1 + (await client.run_on_key(there, "hop", Number(hops) - 1, { next: here, after: there })));
redis.register_async_function("split", async () => "ab".repeat(1 << 27).split("").length);
redis.register_async_function("bigint", async () => (7n ** (1n << 24n)).toString().length);
redis.register_async_function("fill", async () => new Array(5e7).fill(0).length);
redis.register_async_function("huge", async () => "x".repeat(400 * 1024 * 1024));
redis.register_async_function("hoard", async () => { const all = []; for (;;) all.push(new Array(1000).fill({})); });
`;

let cluster: Cluster;
let client: GearmeshClient;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: {
      GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: "30000",
      GEARMESH_RUN_TIMEOUT_MS: "2000",
      GEARMESH_MAX_CALLS: "130",
    },
  });
  client = connect({ address: cluster.nodes[0]?.coordinator.address ?? "", token: cluster.token });
  await client.load(LIBRARY);
});

test.after.always(async () => {
  await client?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

function keyOnNode(index: number): string {
  const node = cluster.nodes[index];
  if (!node) throw new Error(`no node ${index}`);
  return keyOn(cluster, node);
}

test.serial("a remote function that writes is refused, on its own shard and on another", async (t) => {
  for (const index of [0, 1]) {
    const fault = await t.throwsAsync(client.call("hostile.write", { args: [keyOnNode(index)] }), {
      instanceOf: Fault,
    });
    t.is(fault?.code, "FUNCTION_FAILED");
    t.regex(fault?.message ?? "", /Write command 'set' was called while write is not allowed/);
  }
});

for (const guilty of ["spin", "spin_later"]) {
  test.serial(`${guilty} ends at its timeout, and 16 innocent calls of the same library live through it`, async (t) => {
    const args = [keyOnNode(1)];
    const innocents = Array.from({ length: 16 }, () => client.call("hostile.innocent", { args, timeoutMs: 30_000 }));
    const fault = await t.throwsAsync(client.call(`hostile.${guilty}`, { args, timeoutMs: 30_000 }), {
      instanceOf: Fault,
    });
    t.is(fault?.code, "FUNCTION_TIMEOUT");
    t.deepEqual(await Promise.all(innocents), Array(16).fill(20n));
  });
}

async function sandboxPid(): Promise<string> {
  const pid = cluster.nodes[0]?.coordinator.pid;
  return (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim();
}

async function killsNothingButTheSandbox(t: ExecutionContext, name: string): Promise<void> {
  const pid = cluster.nodes[0]?.coordinator.pid;
  // Loaded anew it begins anew: it would be quarantined for what the killers before this one did.
  await client.load(LIBRARY, { replace: true });
  const before = await sandboxPid();
  const fault = await t.throwsAsync(client.call(`hostile.${name}`, { timeoutMs: 20_000 }), { instanceOf: Fault });
  t.is(await client.call("hostile.innocent", { args: [keyOnNode(1)], timeoutMs: 20_000 }), 20n);
  t.is(cluster.nodes[0]?.coordinator.pid, pid);
  t.log(`${fault?.code}: ${fault?.message}; sandbox process ${before === (await sandboxPid()) ? "kept" : "replaced"}`);
}

for (const killer of ["split", "bigint", "fill", "huge", "hoard"]) {
  test.serial(`${killer} costs at most the sandbox process; the next call works`, (t) =>
    killsNothingButTheSandbox(t, killer),
  );
}

test.serial("128 chains of three hops and two of a hundred end at the concurrency limit", async (t) => {
  const chain = (hops: number) =>
    client.call("hostile.chain", { args: [String(hops), keyOnNode(0), keyOnNode(1)], timeoutMs: 30_000 });
  const lengths = [...Array<number>(128).fill(3), 100, 100];
  t.deepEqual(await Promise.all(lengths.map(chain)), lengths.map(BigInt));
  const beyond = await Promise.allSettled(Array.from({ length: 256 }, () => chain(3)));
  for (const outcome of beyond) {
    if (outcome.status === "rejected") t.is((outcome.reason as Fault).code, "RESOURCE_EXHAUSTED");
    else t.is(outcome.value, 3n);
  }
  t.log(`of 256 at a limit of 130: ${beyond.filter(({ status }) => status === "rejected").length} refused, none stuck`);
});
