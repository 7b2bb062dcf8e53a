import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import anyTest, { type TestFn } from "ava";
import { connect } from "../../src/client/client.ts";
import { type Cluster, startCluster } from "../../src/dev/cluster.ts";
import { PORT_OFFSETS } from "../../src/dev/free-ports.ts";
import { Reaper } from "../../src/dev/reaper.ts";
import type { InstanceStatus } from "../../src/supervisor/control-socket.ts";
import { readReadiness } from "../../src/telemetry/readiness.ts";
import { eventually } from "../support/eventually.ts";
import { SupervisorProcess } from "../support/supervised.ts";

const test = anyTest as TestFn<{ cluster: Cluster; reaper: Reaper; supervisor: SupervisorProcess }>;

test.before(async (t) => {
  const cluster = await startCluster({ shards: 3, startsCoordinators: false });
  t.context.cluster = cluster;
  t.context.reaper = await Reaper.start();
  const [first = 0] = cluster.nodes.map(({ redis }) => redis.port);
  t.context.supervisor = new SupervisorProcess(cluster, [first], t.context.reaper);
  await t.context.supervisor.start();
});

test.after.always(async ({ context }) => {
  await context.supervisor?.stop();
  await context.cluster?.[Symbol.asyncDispose]();
  await context.reaper?.[Symbol.asyncDispose]();
});

function pidsOf(instances: readonly InstanceStatus[]): readonly (number | undefined)[] {
  return instances.map(({ pid }) => pid);
}

function isRunning(pid: number | undefined): boolean {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function allReady(supervisor: SupervisorProcess, count: number): Promise<readonly InstanceStatus[]> {
  const found = await eventually(
    async () => {
      const { instances } = await supervisor.status();
      return instances.length === count && instances.every(({ state }) => state === "ready") ? instances : undefined;
    },
    { what: `${count} instances that are ready` },
  );
  return found ?? [];
}

test.serial("each local Redis has an instance: its name in Redis, its pid file and its log agree", async (t) => {
  const { supervisor, cluster } = t.context;
  const { instances } = await supervisor.status();
  t.deepEqual(
    instances.map(({ name, redis, restarts }) => ({ name, redis, restarts })),
    cluster.nodes.map(({ redis }, index) => ({
      name: `gearmesh-${index + 1}`,
      redis: `127.0.0.1:${redis.port}`,
      restarts: 0,
    })),
  );
  for (const [index, { name, pid, address }] of instances.entries()) {
    const port = cluster.nodes[index]?.redis.port ?? 0;
    t.is(address, `127.0.0.1:${port + PORT_OFFSETS.coordinator}`);
    const readiness = await readReadiness({ host: "127.0.0.1", port: port + PORT_OFFSETS.ops });
    t.is(readiness?.node, name);
    t.is((await readFile(join(supervisor.directory, `${name}.pid`), "utf8")).trim(), String(pid));
    t.regex(await readFile(join(supervisor.directory, `${name}.log`), "utf8"), new RegExp(`"node":"${name}"`));
    t.false((await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes(cluster.token));
  }
  await using client = connect({ address: instances[0]?.address ?? "", token: cluster.token });
  t.is((await client.topology()).shards.length, 3);
  const human = await supervisor.command("status");
  t.is(human.code, 0);
  t.regex(
    human.out,
    /NAME +PID +REDIS +COORDINATOR +STATE +UPTIME +RESTARTS\ngearmesh-1 +\d+ +127\S+ +127\S+ +ready +\d+ s +0\n/,
  );
  const second = await supervisor.command("start", "--redis", "127.0.0.1:1");
  t.is(second.code, 69);
  t.regex(second.err, /a cluster runs in .* already \(process \d+\)/);
});

test.serial("an instance that is killed is replaced under its name", async (t) => {
  const { supervisor } = t.context;
  const before = (await supervisor.status()).instances;
  process.kill(before[1]?.pid ?? 0, "SIGKILL");
  await eventually(async () => (await supervisor.instance("gearmesh-2"))?.restarts === 1, { what: "the death" });
  const after = await allReady(supervisor, 3);
  t.deepEqual(
    after.map(({ name, redis, restarts }) => [name, redis, restarts]),
    before.map(({ name, redis }, index) => [name, redis, index === 1 ? 1 : 0]),
  );
  t.deepEqual(
    pidsOf(after).map((pid) => pidsOf(before).includes(pid)),
    [true, false, true],
  );
  const pidFile = await readFile(join(supervisor.directory, "gearmesh-2.pid"), "utf8");
  t.is(pidFile.trim(), String(after[1]?.pid));
  t.regex(await supervisor.log(), /gearmesh-2 died \(signal SIGKILL\)/);
});

test.serial("instances that are all killed at once are all replaced under their names", async (t) => {
  const { supervisor } = t.context;
  const before = (await supervisor.status()).instances;
  for (const { pid = 0 } of before) process.kill(pid, "SIGKILL");
  const after = await eventually(
    async () => {
      const { instances } = await supervisor.status();
      const isNew = instances.every(({ pid, state }) => state === "ready" && !pidsOf(before).includes(pid));
      return isNew ? instances : undefined;
    },
    { what: "three new instances that are ready", deadlineMs: 60_000 },
  );
  t.deepEqual(
    after?.map(({ name, redis, restarts }) => [name, redis, restarts]),
    before.map(({ name, redis, restarts }) => [name, redis, restarts + 1]),
  );
  for (const { name, pid } of after ?? []) {
    t.is((await readFile(join(supervisor.directory, `${name}.pid`), "utf8")).trim(), String(pid));
  }
});

test.serial("restart (SIGUSR2) starts the instances again one at a time, and waits", async (t) => {
  const { supervisor } = t.context;
  const before = pidsOf((await supervisor.status()).instances);
  let isOver = false;
  let most = 0;
  const watching = eventually(
    async () => {
      const { instances } = await supervisor.status();
      most = Math.max(most, instances.filter(({ state }) => state !== "ready").length);
      return isOver;
    },
    { what: "the end of the roll", deadlineMs: 100_000 },
  );
  const restarted = await supervisor.command("restart");
  isOver = true;
  await watching;
  t.is(restarted.code, 0, restarted.err);
  t.is(most, 1, "the next one only when the one before is ready again");
  const after = pidsOf(await allReady(supervisor, 3));
  t.true(after.every((pid) => !before.includes(pid)));
});

test.serial("SIGHUP starts all instances again", async (t) => {
  const { supervisor } = t.context;
  const before = pidsOf((await supervisor.status()).instances);
  const restarted = await supervisor.command("restart", "--all-at-once");
  t.is(restarted.code, 0, restarted.err);
  const after = pidsOf(await allReady(supervisor, 3));
  t.true(after.every((pid) => !before.includes(pid)));
});

test.serial("SIGTTOU releases the highest instance, and SIGTTIN takes the next Redis without one", async (t) => {
  const { supervisor } = t.context;
  supervisor.signal("SIGTTOU");
  await allReady(supervisor, 2);
  t.false(existsSync(join(supervisor.directory, "gearmesh-3.pid")));
  supervisor.signal("SIGTTIN");
  t.is((await allReady(supervisor, 3)).at(-1)?.name, "gearmesh-3");
  supervisor.signal("SIGTTIN");
  await eventually(async () => (await supervisor.log()).includes("there is no local Redis without a coordinator"), {
    what: "the answer that there is none",
  });
});

test.serial("a supervisor that is killed leaves no instance behind, and the next one has the same names", async (t) => {
  const { supervisor, cluster } = t.context;
  const before = (await supervisor.status()).instances;
  await supervisor.kill("SIGKILL");
  const none = await supervisor.command("status", "--json");
  t.is(none.code, 69);
  t.is(JSON.parse(none.err).code, "UNAVAILABLE");
  const named = cluster.nodes.map(({ redis }) => `127.0.0.1:${redis.port}`).join(",");
  const started = await supervisor.command("start", "--daemon", "--redis", named);
  t.is(started.code, 0, started.err);
  t.regex(started.out, new RegExp(`process ${(await supervisor.status()).pid}`));
  const after = await allReady(supervisor, 3);
  t.deepEqual(pidsOf(before).filter(isRunning), []);
  t.deepEqual(
    after.map(({ name, redis }) => [name, redis]),
    before.map(({ name, redis }) => [name, redis]),
  );
});

test.serial("stop ends all instances gracefully, and waits until they are gone", async (t) => {
  const { supervisor } = t.context;
  const { instances, pid } = await supervisor.status();
  const stopped = await supervisor.command("stop");
  t.like(stopped, { code: 0, out: "stopped\n" });
  t.deepEqual(pidsOf(instances).filter(isRunning), []);
  await eventually(() => !isRunning(pid), { what: "the end of the supervisor" });
  const files = await readdir(supervisor.directory);
  t.deepEqual(files.filter((file) => !file.endsWith(".log")).sort(), []);
  for (const { name } of instances) {
    t.regex(await readFile(join(supervisor.directory, `${name}.log`), "utf8"), /the coordinator has stopped/);
  }
  t.like(await supervisor.command("stop"), { code: 0, out: `no cluster runs in ${supervisor.directory}\n` });
});

test.serial(
  "instances that keep dying end the supervisor, with the reason; what runs already is left alone",
  async (t) => {
    const { supervisor, cluster } = t.context;
    const [first = 0, second = 0, third = 0] = cluster.nodes.map(({ redis }) => redis.port);
    const taken = [first + PORT_OFFSETS.ops, second + PORT_OFFSETS.coordinator, third + PORT_OFFSETS.coordinator];
    const others = taken.map((port) => createServer((socket) => socket.destroy()).listen(port, "127.0.0.1"));
    t.teardown(() => others.map((other) => other.close()));
    const flapping = await supervisor.command("start", "--redis", `127.0.0.1:${first}`);
    t.is(flapping.code, 69);
    t.regex(flapping.out, new RegExp(`beside the Redis at 127.0.0.1:${second} a coordinator runs already`));
    t.regex(
      flapping.err,
      /the instances keep dying: 3 deaths within 30 s, with 1 wanted; the last was gearmesh-1 \(exit code 69\)/,
    );
    t.regex(await readFile(join(supervisor.directory, "gearmesh-1.log"), "utf8"), /cannot listen on .*EADDRINUSE/);
    t.is((await readdir(supervisor.directory)).filter((file) => file.endsWith(".pid")).length, 0);
  },
);

test.serial("a second SIGINT kills what does not end", async (t) => {
  const { supervisor } = t.context;
  await supervisor.start();
  const { instances, pid } = await supervisor.status();
  // It hears of no signal but the one that cannot be held back.
  process.kill(instances[0]?.pid ?? 0, "SIGSTOP");
  process.kill(pid, "SIGINT");
  await eventually(async () => (await supervisor.log()).includes("SIGINT: stopping all instances"), {
    what: "the stop",
  });
  process.kill(pid, "SIGINT");
  await eventually(() => !isRunning(pid), { what: "the end" });
  t.regex(await supervisor.log(), /SIGINT again: what still runs is killed/);
  t.deepEqual(pidsOf(instances).filter(isRunning), []);
});
