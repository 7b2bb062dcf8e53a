import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

const BODY = `
let calls = 0;
const own = String(Math.random());
redis.register_remote_function("remote", async (client) => client.block((c) => c.call("ping")));
redis.register_function("who", (client) => { client.call("ping"); return own; }, ["no-writes"]);
redis.register_async_function("there_and_back", async (client) => client.run_on_key("k", "remote"));
redis.register_function("ping", (client) => client.call("ping"), ["no-writes"]);
redis.register_function("count", () => ++calls);
redis.register_function("twice", (client) => {
  redis.log("begins");
  client.call("ping");
  client.call("ping");
  redis.log("ends");
}, ["no-writes"]);
redis.register_function("twice_alone", (client) => {
  redis.log("begins");
  client.call("ping");
  client.call("ping");
  redis.log("ends");
});
redis.register_function("deep", (client) => {
  let deepest;
  const down = (level) => {
    try { down(level + 1); } catch (error) { if (!(error instanceof RangeError)) throw error; }
    // Where there is just room for it again.
    if (deepest === undefined) try { client.call("ping"); deepest = level; } catch (error) { if (!(error instanceof RangeError)) throw error; }
  };
  down(0);
  return deepest;
}, ["no-writes"]);
redis.register_function("fib", () => { const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2); return fib(15); }, ["no-writes"]);
redis.register_function("spin", () => { redis.log("begins"); while (true); }, ["no-writes"]);
redis.register_function("flood", () => { redis.log("begins"); const all = []; for (;;) all.push({ all }); }, ["no-writes"]);
redis.register_function("stuck", () => (7n ** (1n << 24n)).toString().length, ["no-writes"]);
redis.register_async_function("wait", async (client) => { client.block((c) => c.call("ping")); return new Promise(() => undefined); }, ["no-writes"]);
redis.register_function("hold", (client, name) => {
  client.call("rpush", "order", name + " begins");
  for (let i = 0; i < 20; i++) client.call("ping");
  client.call("rpush", "order", name + " ends");
});
redis.register_function("add", (client) => {
  const both = client.call("mget", "a", "b");
  client.call("set", "a", String(Number(both[0] ?? 0) + 1));
  client.call("set", "b", String(Number(both[1] ?? 0) + 1));
});
redis.register_function("read", (client) => String(client.call("get", "a")) + " " + String(client.call("get", "b")), ["no-writes"]);
redis.register_function("later", (client) => { client.call("ping"); void client.executeAsync(async (c) => redis.log("later")); }, ["no-writes"]);
`;
/** Where limits are not what is looked at: on a busy machine a block may take long. */
const PATIENT = { runTimeoutMs: 10_000, lockRedisTimeoutMs: 10_000 };
/** Of those that are ended by it. Unit: ms. */
const RUN_TIMEOUT_MS = 2500;

const ISOLATED = `#!js name=isolated isolates=4${BODY}`;
const SHARED = `#!js name=shared${BODY}`;

async function connection(sandbox: LocalSandbox): Promise<RespConnection & Disposable> {
  const redis = new RespConnection(sandbox.redis, { name: "test" });
  redis.connect();
  await redis.whenReady();
  return Object.assign(redis, { [Symbol.dispose]: () => redis.close() });
}

/** Resolves once as many isolates of the library have answered calls that came at the same time. */
async function untilSpread(sandbox: LocalSandbox, hash: string, isolates: number): Promise<void> {
  await eventually(
    async () => {
      const names = await Promise.all(Array.from({ length: 4 * isolates }, () => sandbox.call(hash, "who")));
      return new Set(names).size === isolates;
    },
    { what: `${isolates} isolates that take calls` },
  );
}

test.serial("a library that asks for isolates shares no globals between them", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const shared = await sandbox.load(SHARED);
  const counts = await Promise.all(Array.from({ length: 8 }, () => sandbox.call(shared, "count")));
  t.deepEqual(counts, [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n], "one isolate: its author expects that");
  const isolated = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, isolated, 4);
  t.is(await sandbox.call(isolated, "there_and_back"), "PONG");
});

/** Calls the functions in turn and all at once until one of them began before another one, which had begun before, had ended. */
async function untilNested(sandbox: LocalSandbox, hash: string, names: readonly string[]): Promise<unknown[][]> {
  const answers: unknown[][] = [];
  await eventually(
    async () => {
      // Also those whose isolate has died in the round before.
      await untilSpread(sandbox, hash, 4);
      sandbox.logged.length = 0;
      const calls = [...names, ...names].map((name) => sandbox.call(hash, name));
      answers.push((await Promise.allSettled(calls)).map(settled));
      return nestedIn(sandbox.logged);
    },
    { what: "a call that begins while another one waits for Redis" },
  );
  return answers;
}

function settled(result: PromiseSettledResult<unknown>): unknown {
  return result.status === "fulfilled" ? result.value : Fault.from(result.reason).code;
}

function nestedIn(logged: readonly string[]): boolean {
  return logged.some((line, at) => line.endsWith("begins") && logged[at + 1]?.endsWith("begins"));
}

test.serial("while a call that only reads waits for Redis, another one begins", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const isolated = await sandbox.load(ISOLATED);
  await untilNested(sandbox, isolated, ["twice", "twice", "twice", "twice"]);
  t.true(sandbox.logged.join(" ").includes("begins isolated: begins"));
  t.is(sandbox.logged.filter((line) => line.endsWith("ends")).length, 8);
});

test.serial("but not in a library of one isolate, nor where the call may write", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const isolated = await sandbox.load(ISOLATED);
  const shared = await sandbox.load(SHARED);
  for (let round = 0; round < 3; round++) {
    sandbox.logged.length = 0;
    const calls = Array.from({ length: 10 }, () => [
      sandbox.call(shared, "twice"),
      sandbox.call(isolated, "twice_alone"),
    ]);
    await Promise.all(calls.flat());
    t.is(sandbox.logged.length, 40);
    t.false(nestedIn(sandbox.logged), sandbox.logged.join("\n"));
  }
});

for (const [name, code, runTimeoutMs] of [
  ["spin", "FUNCTION_TIMEOUT", RUN_TIMEOUT_MS],
  ["flood", "RESOURCE_EXHAUSTED", 50_000],
] as const) {
  test.serial(`${name}, in the midst of another call, does not take that along`, async (t) => {
    await using sandbox = await startSandbox({ runTimeoutMs });
    const hash = await sandbox.load(ISOLATED);
    const called = ["twice", "twice", "twice", name, "twice", "twice", "twice"];
    const rounds = await untilNested(sandbox, hash, called);
    for (const answers of rounds) {
      const expected = [...called, ...called].map((each) => (each === name ? code : null));
      t.deepEqual(answers, expected);
    }
    t.is(sandbox.ends.length, 0, "the process is the same");
  });
}

test.serial("a call that has used up its stack leaves those in its midst theirs", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const hash = await sandbox.load(ISOLATED);
  const rounds = await untilNested(sandbox, hash, ["deep", "fib", "twice", "deep", "fib", "twice"]);
  for (const answers of rounds) {
    for (const at of [1, 4, 7, 10]) t.is(answers[at], 610n);
    for (const at of [2, 5, 8, 11]) t.is(answers[at], null);
    for (const at of [0, 3, 6, 9]) t.true(Number(answers[at]) > 500, String(answers[at]));
  }
});

test.serial("a block that may write has the shard alone, also against other libraries' isolates", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  using redis = await connection(sandbox);
  const isolated = await sandbox.load(ISOLATED);
  const shared = await sandbox.load(SHARED);
  await untilSpread(sandbox, isolated, 4);
  const holds = ["a", "b", "c", "d"].map((name) => sandbox.call(isolated, "hold", [name]));
  const readers = Array.from({ length: 20 }, () => sandbox.call(isolated, "twice"));
  await Promise.all([...holds, sandbox.call(shared, "hold", ["e"]), ...readers]);
  const order = ((await redis.command(["LRANGE", "order", "0", "-1"])) as Buffer[]).map(String);
  t.is(order.length, 10);
  for (let at = 0; at < 10; at += 2) {
    const [name] = (order[at] ?? "").split(" ");
    t.deepEqual(order.slice(at, at + 2), [`${name} begins`, `${name} ends`]);
  }
});

test.serial("readers in other isolates never see half of a block", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const hash = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, hash, 4);
  let writing = true;
  const writers = Array.from({ length: 3 }, async () => {
    for (let i = 0; i < 200; i++) await sandbox.call(hash, "add");
  });
  const seen = new Set<string>();
  const readers = Array.from({ length: 3 }, async () => {
    while (writing) {
      const both = String(await sandbox.call(hash, "read"));
      const [a, b] = both.split(" ");
      if (a !== b) throw new Error(`half of a block: ${both}`);
      seen.add(both);
    }
  });
  await Promise.all(writers);
  writing = false;
  await Promise.all(readers);
  t.is(await sandbox.call(hash, "read"), "600 600");
  t.log(`${seen.size} different values seen`);
  t.true(seen.size > 10);
});

test.serial("cancels and background work find the isolate of their run", async (t) => {
  await using sandbox = await startSandbox(PATIENT);
  const hash = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, hash, 4);
  await Promise.all(Array.from({ length: 12 }, () => sandbox.call(hash, "later")));
  await eventually(() => sandbox.logged.length === 12, { what: "the background work" });
  const caller = new AbortController();
  const waiting = Array.from({ length: 12 }, () =>
    t.throwsAsync(sandbox.call(hash, "wait", [], { signal: caller.signal }), { code: "CANCELLED" }),
  );
  t.is(sandbox.supervisor.inFlight, 12);
  caller.abort();
  await Promise.all(waiting);
  t.is(sandbox.supervisor.inFlight, 0);
});

test.serial(
  "code that cannot be ended in the midst of other calls ends the process, and the next one serves its library",
  async (t) => {
    await using sandbox = await startSandbox({ runTimeoutMs: RUN_TIMEOUT_MS });
    const hash = await sandbox.load(ISOLATED);
    await untilSpread(sandbox, hash, 4);
    const { pid } = sandbox.supervisor;
    const stuck = await Promise.all(
      ["twice", "twice", "stuck", "twice"].map((name) =>
        sandbox.call(hash, name).catch((thrown: unknown) => Fault.from(thrown).code),
      ),
    );
    // Where the machine is busy, the process falls silent before it can say what is wrong.
    t.true(stuck.includes("FUNCTION_TIMEOUT") || stuck.includes("INDETERMINATE"), stuck.join(" "));
    await eventually(() => ![pid, undefined].includes(sandbox.supervisor.pid), { what: "the next process" });
    t.is(await sandbox.call(hash, "ping"), "PONG");
  },
);

test.serial("isolates are asked for in the header or the configuration, within bounds", async (t) => {
  await using sandbox = await startSandbox();
  const refused = async (text: string, config = "{}") => {
    const fault = await t.throwsAsync(sandbox.load(text, config), { code: "LIBRARY_REFUSED" });
    return fault?.message;
  };
  t.is(await refused(ISOLATED.replace("=4", "=5")), "the library asks for 5 isolates, and 4 are allowed (maxIsolates)");
  for (const wrong of ["=0", "=-1", "=1.5", "=x", "=", "=17"]) {
    t.is(await refused(ISOLATED.replace("=4", wrong)), "isolates must be a whole number from 1 to 16", wrong);
  }
  t.is(await refused(SHARED, '{"isolates": "2"}'), "isolates must be a whole number from 1 to 16");
  const configured = await sandbox.load(SHARED, '{"isolates": 3}');
  await untilSpread(sandbox, configured, 3);
});
