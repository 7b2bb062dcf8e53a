import { readFile } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { Redis } from "ioredis";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";

/** `waiting.all` ends on each shard once the flag is set, and touches each shard's own Redis while it waits. */
const WAITING = `#!js name=waiting
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_remote_function("wait", async (client, flag) => {
  for (;;) {
    const keys = client.block((c) => c.call("dbsize"));
    if (await client.run_on_key(flag, "read", flag)) return keys >= 0n;
  }
});
redis.register_async_function("all", async (client, flag) => client.run_on_all_shards("wait", flag));
redis.register_async_function("read", async (client, key) => client.run_on_key(key, "read", key));
`;
const DEADLINE_MS = 60_000;
/** At once, when the alternative is to wait out the deadline. */
const AT_ONCE_MS = 5_000;

let cluster: Cluster;
let asked: ClusterNode;
let victim: ClusterNode;
let client: GearmeshClient;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: { GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: String(DEADLINE_MS) },
  });
  const [first, , third] = cluster.nodes;
  if (!first || !third) throw new Error("three nodes were started");
  [asked, victim] = [first, third];
  client = connect({ address: asked.coordinator.address, token: cluster.token });
  await client.load(WAITING);
});

test.after.always(async () => {
  await client?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

async function runningOn(node: ClusterNode): Promise<number> {
  const metrics = await (await fetch(`http://${node.coordinator.opsAddress}/metrics`)).text();
  return Number(/^gearmesh_calls_in_flight\{kind="remote"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
}

/** The only child of a coordinator. */
async function sandboxPid(node: ClusterNode): Promise<number> {
  const { pid } = node.coordinator;
  const pids = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  return Number(pids[0]);
}

/** Takes `kill` to a part of the victim while `run_on_all_shards` is under way, and checks what the caller gets. */
async function losesOnePart(t: ExecutionContext, kill: () => Promise<void>): Promise<void> {
  const flag = keyOn(cluster, asked);
  const redis = new Redis(asked.redis.port);
  try {
    await redis.del(flag);
    const call = client.call("waiting.all", { args: [flag], timeoutMs: DEADLINE_MS });
    await eventually(async () => (await runningOn(victim)) > 0, { what: "the remote function on the victim" });
    const killedAt = performance.now();
    await kill();
    await redis.set(flag, "1");
    const [results, errors] = (await call) as [unknown[], string[]];
    t.true(performance.now() - killedAt < AT_ONCE_MS, "the call ended at once");
    t.deepEqual(results, [true, true]);
    t.is(errors.length, 1);
    t.regex(errors[0] ?? "", new RegExp(`^shard 127\\.0\\.0\\.1:${victim.redis.port}: `));
    t.log(errors[0]);
  } finally {
    redis.disconnect();
  }
}

async function worksAgain(t: ExecutionContext): Promise<void> {
  const flag = keyOn(cluster, asked);
  await eventually(
    async () => {
      const [results] = (await client.call("waiting.all", { args: [flag], timeoutMs: 5_000 })) as [unknown[]];
      return results.length === 3;
    },
    { what: "answers from all three shards", deadlineMs: 30_000 },
  );
  t.pass();
}

async function failsAtOnce(t: ExecutionContext): Promise<void> {
  const startedAt = performance.now();
  const call = client.call("waiting.read", { args: [keyOn(cluster, victim)], timeoutMs: DEADLINE_MS });
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  t.true(performance.now() - startedAt < AT_ONCE_MS, "the call failed at once");
  t.log(`${fault?.code}: ${fault?.message}`);
}

test.serial(
  "a killed coordinator costs its shard's answer; when it is back, nothing else has to be restarted",
  async (t) => {
    await losesOnePart(t, () => victim.coordinator.kill("SIGKILL"));
    await failsAtOnce(t);
    await victim.coordinator.start();
    await worksAgain(t);
  },
);

test.serial("a killed Redis costs its shard's answer; when it is back, nothing else has to be restarted", async (t) => {
  await losesOnePart(t, () => victim.redis.kill("SIGKILL"));
  await failsAtOnce(t);
  await victim.redis.start();
  await worksAgain(t);
});

test.serial("a killed sandbox process costs its shard's answer, and its coordinator starts another", async (t) => {
  const { pid } = victim.coordinator;
  const sandbox = await sandboxPid(victim);
  await losesOnePart(t, async () => {
    process.kill(sandbox, "SIGKILL");
  });
  await worksAgain(t);
  t.is(victim.coordinator.pid, pid);
  t.not(await sandboxPid(victim), sandbox);
});
