import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import test from "ava";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

const LIBRARY = `#!js name=hostile
redis.register_remote_function("nothing", async () => 1);
redis.register_function("sync", (client) => client.call("ping"));
redis.register_async_function("spin", async () => { while (true); });
redis.register_async_function("spin_later", async (client) => { await client.run_on_key("k", "nothing"); while (true); });
redis.register_async_function("spin_in_block", async (client) => client.block((c) => { c.call("ping"); while (true); }));
redis.register_async_function("never", async () => new Promise(() => {}));
redis.register_async_function("innocent", async (client) => {
  for (let i = 0; i < 50; i++) { await client.run_on_key("k", "nothing"); client.block((c) => c.call("ping")); }
  return "done";
});
redis.register_async_function("split", async () => "ab".repeat(1 << 27).split("").length);
redis.register_async_function("bigint", async () => (7n ** (1n << 24n)).toString().length);
redis.register_async_function("fill", async () => new Array(5e7).fill(0).length);
redis.register_async_function("hoard", async () => { const all = []; for (;;) all.push({ all }); });
redis.register_function("wait", (client, ms) => { client.call("debug", "sleep", ms); client.call("ping"); return "done"; });
redis.register_function("hold", (client, key, ms) => {
  client.call("set", key, "held");
  const until = Date.now() + Number(ms);
  while (Date.now() < until);
  return client.call("get", key);
});
`;

/** Of code that does not end; long enough for what succeeds beside it. */
const LIMITS = { runTimeoutMs: 1500 };

/** Another version, so that the second isolate competes with the first one for the shard. */
const OTHER = LIBRARY.replace("name=hostile", "name=other");

async function codeOf(call: Promise<unknown>): Promise<string> {
  const outcome = await call.then(
    (value) => `value ${String(value)}`,
    (thrown: unknown) => (thrown instanceof Fault ? thrown.code : String(thrown)),
  );
  return outcome;
}

for (const guilty of ["spin", "spin_later", "spin_in_block"]) {
  test.serial(`${guilty} ends at its timeout, and 16 innocent calls of its isolate live through it`, async (t) => {
    await using sandbox = await startSandbox(LIMITS);
    const hash = await sandbox.load(LIBRARY);
    const { pid } = sandbox.supervisor;
    const innocents = Array.from({ length: 16 }, () => sandbox.call(hash, "innocent"));
    const fault = await t.throwsAsync(sandbox.call(hash, guilty), { instanceOf: Fault });
    t.is(fault?.code, "FUNCTION_TIMEOUT");
    t.regex(
      fault?.message ?? "",
      new RegExp(
        `^the function ran longer than ${LIMITS.runTimeoutMs} ms without a pause \\(hostile:\\d+\\) in ${guilty}$`,
      ),
    );
    t.deepEqual(await Promise.all(innocents), Array(16).fill("done"));
    t.is(sandbox.supervisor.pid, pid);
  });
}

for (const [killer, codes] of [
  ["split", ["INDETERMINATE", "RESOURCE_EXHAUSTED", "FUNCTION_TIMEOUT", "FUNCTION_FAILED"]],
  ["bigint", ["FUNCTION_TIMEOUT", "INDETERMINATE"]],
  ["fill", ["FUNCTION_TIMEOUT", "INDETERMINATE", "RESOURCE_EXHAUSTED"]],
] as const) {
  test.serial(`${killer} costs at most the sandbox process, and the next call works`, async (t) => {
    await using sandbox = await startSandbox(LIMITS);
    const hash = await sandbox.load(LIBRARY);
    const bystander = codeOf(sandbox.call(hash, "never"));
    const code = await codeOf(sandbox.call(hash, killer));
    t.true((codes as readonly string[]).includes(code), code);
    t.is(await sandbox.call(hash, "sync"), "PONG");
    t.log(`${code}; ${sandbox.ends.map(({ reason }) => reason).join("; ") || "the process lived"}`);
    if (sandbox.ends.length > 0) t.is(await bystander, "INDETERMINATE");
  });
}

test.serial("the memory limit ends the runs of that library only, and its next run gets a new isolate", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 50_000 });
  const hash = await sandbox.load(LIBRARY);
  const other = await sandbox.load(OTHER);
  const { pid } = sandbox.supervisor;
  const same = codeOf(sandbox.call(hash, "never"));
  const spared = new AbortController();
  const elsewhere = codeOf(sandbox.call(other, "never", [], { signal: spared.signal }));
  t.is(await codeOf(sandbox.call(hash, "hoard")), "RESOURCE_EXHAUSTED");
  t.is(await same, "RESOURCE_EXHAUSTED");
  t.is(await sandbox.call(hash, "sync"), "PONG");
  t.is(sandbox.supervisor.pid, pid);
  spared.abort();
  t.is(await elsewhere, "CANCELLED");
});

test.serial(
  "SIGKILL of the process: runs in flight end at once as INDETERMINATE, later ones wait for the next process",
  async (t) => {
    await using sandbox = await startSandbox();
    const hash = await sandbox.load(LIBRARY);
    const { pid } = sandbox.supervisor;
    if (pid === undefined) throw new Error("no process");
    const inFlight = Array.from({ length: 3 }, () => codeOf(sandbox.call(hash, "never")));
    await sandbox.call(hash, "sync");
    const killedMs = performance.now();
    process.kill(pid, "SIGKILL");
    t.deepEqual(await Promise.all(inFlight), Array(3).fill("INDETERMINATE"));
    t.true(performance.now() - killedMs < 5000);
    t.is(await sandbox.call(hash, "sync"), "PONG");
    t.not(sandbox.supervisor.pid, pid);
  },
);

test.serial("a process that is killed again and again comes back each time", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  for (let round = 0; round < 4; round++) {
    const { pid } = sandbox.supervisor;
    if (pid === undefined) throw new Error("no process");
    process.kill(pid, "SIGKILL");
    await eventually(() => sandbox.supervisor.pid !== pid, { what: "the end of the process" });
    t.is(await sandbox.call(hash, "sync"), "PONG");
  }
});

test.serial("a process whose main thread is stuck is replaced", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  const { pid } = sandbox.supervisor;
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGSTOP");
  t.is(await codeOf(sandbox.call(hash, "sync")), "INDETERMINATE");
  t.regex(sandbox.ends[0]?.reason ?? "", /was silent for 2000 ms/);
  t.is(await sandbox.call(hash, "sync"), "PONG");
});

test.serial("a library that kills the process while it is loaded is refused, and the others stay", async (t) => {
  await using sandbox = await startSandbox({ loadTimeoutMs: 1000 });
  const hash = await sandbox.load(LIBRARY);
  const killer = '#!js name=killer\nredis.register_function("f", () => 1);\nnew Array(5e7).fill(0);';
  const fault = await t.throwsAsync(sandbox.load(killer), { instanceOf: Fault });
  t.is(fault?.code, "LIBRARY_REFUSED");
  t.is(await sandbox.call(hash, "sync"), "PONG");
  // Mostly V8 cannot end it in time; where it reaches its memory limit sooner, its isolate is all that it costs.
  t.is(sandbox.ends.length, /needs more than 64 MB/.test(fault?.message ?? "") ? 0 : 1, fault?.message);
});

test.serial("a run ends at its deadline, or with its caller, though its function never does", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  const startedMs = performance.now();
  t.is(await codeOf(sandbox.call(hash, "never", [], { deadline: deadlineIn(200) })), "DEADLINE_EXCEEDED");
  const tookMs = performance.now() - startedMs;
  t.log(`ended after ${tookMs.toFixed(1)} ms of 200`);
  t.true(tookMs >= 199 && tookMs < 5000, `${tookMs} ms`);
  const caller = new AbortController();
  const run = codeOf(sandbox.call(hash, "never", [], { signal: caller.signal }));
  caller.abort();
  t.is(await run, "CANCELLED");
  t.is(await codeOf(sandbox.call(hash, "never", [], { signal: caller.signal })), "CANCELLED");
  t.is(sandbox.supervisor.inFlight, 0);
  t.is(await sandbox.call(hash, "sync"), "PONG");
});

test.serial("waiting for Redis is not running, but a block must not hold its shard for long", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 1500, lockRedisTimeoutMs: 20_000 });
  const hash = await sandbox.load(LIBRARY);
  await pausedRedis(sandbox, 3000, async () => {
    t.is(await sandbox.call(hash, "sync"), "PONG");
  });
  await using strict = await startSandbox({ lockRedisTimeoutMs: 500 });
  const strictHash = await strict.load(LIBRARY);
  const fault = await t.throwsAsync(strict.call(strictHash, "hold", ["k", "1000"]), { instanceOf: Fault });
  t.is(fault?.message, "the block held its shard longer than lock-redis-timeout allows (500 ms)");
});

/** Does something while Redis answers nothing for `ms`. */
async function pausedRedis({ redis }: LocalSandbox, ms: number, work: () => Promise<void>): Promise<void> {
  const control = new RespConnection({ host: redis.host, port: redis.port }, { name: "control" });
  control.connect();
  await control.whenReady();
  await control.command(["CLIENT", "PAUSE", String(ms), "ALL"]);
  await work();
  control.close();
}

test.serial("blocks that may write run one at a time, though their isolates run at once", async (t) => {
  await using sandbox = await startSandbox();
  const text = (name: string) => `#!js name=${name}
    redis.register_async_function("increment", async (client) => client.block((c) => {
      const n = Number(c.call("get", "n") ?? 0);
      for (let i = 0; i < 3; i++) c.call("ping");
      c.call("set", "n", n + 1);
    }));
    redis.register_function("read", (c) => c.call("get", "n"), ["no-writes"]);`;
  const hashes = await Promise.all(["a", "b", "c"].map((name) => sandbox.load(text(name))));
  const calls = hashes.flatMap((hash) => Array.from({ length: 20 }, () => sandbox.call(hash, "increment")));
  await Promise.all(calls);
  t.is(await sandbox.call(hashes[0] ?? "", "read"), "60");
});

test.serial("a run that is ended lets the shard go, whether it holds it or waits for it", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 2000, lockRedisTimeoutMs: 5000 });
  const hash = await sandbox.load(LIBRARY);
  const other = await sandbox.load(OTHER);
  const holder = codeOf(sandbox.call(hash, "hold", ["k", "5000"], { deadline: deadlineIn(300) }));
  const waiter = new AbortController();
  const waiting = codeOf(sandbox.call(other, "sync", [], { signal: waiter.signal }));
  t.is(await holder, "DEADLINE_EXCEEDED");
  t.is(await waiting, "value PONG");
});

test.serial("without Redis, functions that do not use it run, and those that do fail with UNAVAILABLE", async (t) => {
  await using sandbox = await startSandbox(LIMITS);
  const hash = await sandbox.load(LIBRARY);
  sandbox.redis.process.kill("SIGKILL");
  await eventually(async () => (await codeOf(sandbox.call(hash, "sync"))) === "UNAVAILABLE", { what: "UNAVAILABLE" });
  t.is(await codeOf(sandbox.call(hash, "spin")), "FUNCTION_TIMEOUT");
  await sandbox.redis.restart();
  await eventually(async () => (await codeOf(sandbox.call(hash, "sync"))) === "value PONG", { what: "Redis again" });
});

test.serial("an unloaded version is gone, and its runs are cancelled", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  const run = codeOf(sandbox.call(hash, "never"));
  sandbox.supervisor.unload(hash);
  t.is(await run, "CANCELLED");
  t.is(await codeOf(sandbox.call(hash, "sync")), "UNKNOWN_LIBRARY");
  t.is(await sandbox.load(LIBRARY), hash);
  t.is(await sandbox.call(hash, "sync"), "PONG");
});

test.serial("closing ends the process and every run, and nothing starts again", async (t) => {
  const sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  const { pid } = sandbox.supervisor;
  if (pid === undefined) throw new Error("no process");
  const run = codeOf(sandbox.call(hash, "never"));
  await sandbox[Symbol.asyncDispose]();
  t.is(await run, "CANCELLED");
  t.throws(() => process.kill(pid, 0), { code: "ESRCH" });
  t.is(await codeOf(sandbox.call(hash, "sync")), "UNAVAILABLE");
  t.is(sandbox.supervisor.state.kind, "closed");
});

test.serial("a library that floods the log leaves the others their lines", async (t) => {
  await using sandbox = await startSandbox();
  const flood = await sandbox.load(
    '#!js name=flood\nredis.register_function("f", () => { for (let i = 0; i < 1000; i++) redis.log("noise"); });',
  );
  const quiet = await sandbox.load('#!js name=quiet\nredis.register_function("f", () => redis.log("heard"));');
  await Promise.all([sandbox.call(flood, "f"), sandbox.call(quiet, "f")]);
  await eventually(() => sandbox.logged.includes("quiet: heard"), { what: "the line of the other library" });
  t.true(sandbox.logged.filter((line) => line.startsWith("flood:")).length <= 200);
});

test.serial("with error-verbosity 2 an error carries its stack, and the stack no path of ours", async (t) => {
  await using sandbox = await startSandbox({ errorVerbosity: 2 });
  const hash = await sandbox.load('#!js name=lib\nredis.register_function("f", () => { throw new Error("no") });');
  const fault = await t.throwsAsync(sandbox.call(hash, "f"), { instanceOf: Fault });
  t.regex(fault?.message ?? "", /^Error: no \(lib:2\) in f\nError: no\n {4}at lib:2:\d+/);
  t.notRegex(fault?.message ?? "", /file:|node_modules|\.ts/);
});

test.serial("a coordinator that is killed leaves no sandbox process behind", async (t) => {
  const coordinator = spawn(process.execPath, [fileURLToPath(new URL("./sandbox-parent.ts", import.meta.url))], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = await once(coordinator.stdout.setEncoding("utf8"), "data");
  const pid = Number(line);
  t.notThrows(() => process.kill(pid, 0));
  coordinator.kill("SIGKILL");
  await eventually(() => !isAlive(pid), { what: "the end of the sandbox process" });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
