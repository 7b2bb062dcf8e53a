import { readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

/** `stuck` cannot be ended by V8; `spin` could be, but not soon. */
const HOSTILE = `#!js name=hostile
redis.register_remote_function("nothing", async () => 1);
redis.register_function("ping", (client) => client.call("ping"));
redis.register_async_function("stuck", async () => (7n ** (1n << 24n)).toString().length);
redis.register_function("spin", (client) => { client.call("set", "spins", "1"); while (true); });
redis.register_async_function("never", async () => new Promise(() => {}));
redis.register_async_function("busy", async (client) => {
  for (;;) { await client.run_on_key("k", "nothing"); client.block((c) => c.call("ping")); }
});
// Says often whose code is running, without a turn of the event loop.
redis.register_function("chatter", (client) => { for (let i = 0; i < 500; i++) client.call("ping"); });
`;
/** Of `stuck`; long enough for what succeeds. */
const LIMITS = { runTimeoutMs: 1500 };
const INNOCENT = HOSTILE.replace("name=hostile", "name=innocent");
const REFUSAL =
  /^library hostile is quarantined on this shard until it is loaded anew \(with replace\): it ended the sandbox process 3 times within 60 s$/;

/** Lets a run end the process, be it that the process says so or that it falls silent. */
async function kill({ supervisor, call }: LocalSandbox, hash: string): Promise<void> {
  const { pid } = supervisor;
  await call(hash, "stuck").catch(() => undefined);
  await eventually(() => ![pid, undefined].includes(supervisor.pid), { what: "the next process" });
}

test.serial(
  "a library whose code cannot be ended is quarantined the third time, until it is loaded anew",
  async (t) => {
    await using sandbox = await startSandbox(LIMITS);
    const hostile = await sandbox.load(HOSTILE);
    const innocent = await sandbox.load(INNOCENT);
    for (let death = 1; death <= 3; death++) {
      t.is(sandbox.supervisor.quarantine(hostile), undefined);
      // Whoever waits for something when it happens, or has given its run up, has no part in it.
      void sandbox.call(innocent, "never").catch(() => undefined);
      await kill(sandbox, hostile);
      t.is(await sandbox.call(innocent, "ping"), "PONG");
    }
    for (const name of ["ping", "stuck"]) {
      await t.throwsAsync(sandbox.call(hostile, name), { code: "UNAVAILABLE", message: REFUSAL });
    }
    t.is(sandbox.ends.length, 3);
    t.deepEqual(sandbox.quarantined, ["hostile"]);
    t.is(sandbox.supervisor.quarantined, 1);
    t.is(await sandbox.call(innocent, "ping"), "PONG");

    await sandbox.load(HOSTILE);
    t.is(await sandbox.call(hostile, "ping"), "PONG");
    t.is(sandbox.supervisor.quarantined, 0);
    await kill(sandbox, hostile);
    t.is(sandbox.supervisor.quarantine(hostile), undefined, "it begins anew");
  },
);

test.serial("a run whose caller has given it up counts, too", async (t) => {
  await using sandbox = await startSandbox(LIMITS);
  const hostile = await sandbox.load(HOSTILE);
  const innocent = await sandbox.load(INNOCENT);
  while (sandbox.supervisor.quarantine(hostile) === undefined) {
    // A starved process falls silent before it says whose code is running: with no caller left, that death is nobody's.
    t.true(sandbox.ends.length < 6, `not blamed: ${sandbox.ends.map(({ reason }) => reason).join("; ")}`);
    const pid = pidOf(sandbox);
    const given = new AbortController();
    const cancelled = t.throwsAsync(sandbox.call(hostile, "stuck", [], { signal: given.signal }), {
      code: "CANCELLED",
    });
    await untilBusy(pid);
    given.abort();
    await cancelled;
    await eventually(() => sandbox.supervisor.pid !== pid, { what: "the next process" });
    t.is(await sandbox.call(innocent, "ping"), "PONG");
  }
  t.true(sandbox.ends.length >= 3);
  await t.throwsAsync(sandbox.call(hostile, "ping"), { code: "UNAVAILABLE", message: REFUSAL });
});

/** To the sandbox's Redis; ends with the test. */
async function connection(t: ExecutionContext, sandbox: LocalSandbox): Promise<RespConnection> {
  const redis = new RespConnection(sandbox.redis, { name: "test" });
  t.teardown(() => redis.close());
  redis.connect();
  await redis.whenReady();
  return redis;
}

function pidOf({ supervisor }: LocalSandbox): number {
  const { pid } = supervisor;
  if (pid === undefined) throw new Error("no process");
  return pid;
}

/** CPU time of a process's main thread, in clock ticks. */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/task/${pid}/stat`, "utf8");
  const [, , , , , , , , , , , user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(user) + Number(system);
}

/** Resolves once `spin` does nothing but spin. */
async function untilSpinning(redis: RespConnection, pid: number): Promise<void> {
  await eventually(async () => (await redis.command(["DEL", "spins"])) === 1n, { what: "the run that spins" });
  // Between its command and its loop there is hardly anything to do.
  await untilBusy(pid);
}

/** Resolves once the process's main thread has used some CPU time. */
async function untilBusy(pid: number): Promise<void> {
  const before = ticksOf(pid);
  await eventually(() => ticksOf(pid) > before + 5, { what: "time spent in the code" });
}

test.serial("a process that says nothing before it ends: the next ones say whose code is running", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 20_000 });
  const hostile = await sandbox.load(HOSTILE);
  const innocent = await sandbox.load(INNOCENT);
  const redis = await connection(t, sandbox);
  // The first time both may have done it, so neither is blamed.
  for (let death = 1; death <= 4; death++) {
    t.deepEqual(sandbox.quarantined, []);
    const pid = pidOf(sandbox);
    const busy = Array.from({ length: 4 }, () => t.throwsAsync(sandbox.call(innocent, "busy")));
    const spin = t.throwsAsync(sandbox.call(hostile, "spin"), { code: "INDETERMINATE" });
    await untilSpinning(redis, pid);
    process.kill(pid, "SIGKILL");
    await Promise.all([spin, ...busy]);
    await eventually(() => ![pid, undefined].includes(sandbox.supervisor.pid), { what: "the next process" });
  }
  t.deepEqual(sandbox.quarantined, ["hostile"]);
  await t.throwsAsync(sandbox.call(hostile, "ping"), { code: "UNAVAILABLE", message: REFUSAL });
  t.is(await sandbox.call(innocent, "ping"), "PONG");
});

test.serial("a coordinator that is held up still learns whose code was running last", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 20_000 });
  const hostile = await sandbox.load(HOSTILE);
  const innocent = await sandbox.load(INNOCENT);
  const redis = await connection(t, sandbox);
  process.kill(pidOf(sandbox), "SIGKILL");
  await eventually(() => sandbox.ends.length === 1, { what: "the end of the process" });
  for (let death = 1; death <= 3; death++) {
    await eventually(() => sandbox.supervisor.state.kind === "running", { what: "the next process" });
    const pid = pidOf(sandbox);
    const chatter = sandbox.call(innocent, "chatter").catch(() => undefined);
    const spin = t.throwsAsync(sandbox.call(hostile, "spin"), { code: "INDETERMINATE" });
    setImmediate(() => setImmediate(() => setImmediate(holdUp)));
    await untilSpinning(redis, pid);
    process.kill(pid, "SIGKILL");
    await Promise.all([spin, chatter]);
  }
  t.deepEqual(sandbox.quarantined, ["hostile"]);
});

/** Keeps this process, which is the coordinator here, from reading anything for a while. */
function holdUp(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
}

test.serial("nobody is blamed for a process that others end while it waits", async (t) => {
  await using sandbox = await startSandbox(LIMITS);
  const hash = await sandbox.load(INNOCENT);
  for (let death = 1; death <= 5; death++) {
    const pid = pidOf(sandbox);
    const waiting = sandbox.call(hash, "never");
    t.is(await sandbox.call(hash, "ping"), "PONG");
    process.kill(pid, "SIGKILL");
    await t.throwsAsync(waiting, { code: "INDETERMINATE" });
    await eventually(() => ![pid, undefined].includes(sandbox.supervisor.pid), { what: "the next process" });
  }
  t.deepEqual(sandbox.quarantined, []);
  t.is(await sandbox.call(hash, "ping"), "PONG");
});

test.serial("List and the metrics show the quarantine, and replacing the library lifts it", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await client.load(HOSTILE);
  await client.load(INNOCENT);
  const states = async () => (await client.list()).map(({ name, state }) => `${name} ${state}`);
  const gauge = async () => {
    const metrics = await (await fetch(`http://${node.coordinator.opsAddress}/metrics`)).text();
    return /^gearmesh_libraries_quarantined (\d+)$/m.exec(metrics)?.[1];
  };
  t.deepEqual(await states(), ["hostile ok", "innocent ok"]);
  t.is(await gauge(), "0");
  for (let death = 1; death <= 3; death++) {
    await t.throwsAsync(client.call("hostile.stuck", { timeoutMs: 20_000 }), { instanceOf: Fault });
    t.is(await client.call("innocent.ping", { timeoutMs: 20_000 }), "PONG");
  }
  await t.throwsAsync(client.call("hostile.ping"), { code: "UNAVAILABLE", message: REFUSAL });
  const [hostile = "", innocent] = await states();
  t.regex(hostile, /^hostile quarantined: library hostile is quarantined on this shard/);
  t.is(innocent, "innocent ok");
  t.is(await gauge(), "1");
  await client.load(HOSTILE, { replace: true });
  t.is(await client.call("hostile.ping"), "PONG");
  t.deepEqual(await states(), ["hostile ok", "innocent ok"]);
  t.is(await gauge(), "0");
});
