import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

const BODY = `
let calls = 0;
redis.register_function("ping", (client) => client.call("ping"), ["no-writes"]);
redis.register_function("count", () => ++calls);
const own = String(Math.random());
redis.register_function("who", () => own);
redis.register_function("sleep", (client, ms) => { client.call("debug", "sleep", ms); return "slept"; });
redis.register_async_function("wait", async () => new Promise(() => undefined));
redis.register_function("hold", (client, name, ms) => {
  client.call("rpush", "order", name + " begins");
  const endsAt = Date.now() + Number(ms);
  while (Date.now() < endsAt);
  client.call("rpush", "order", name + " ends");
});
redis.register_function("look", (client, name, ms) => {
  client.call("ping");
  const endsAt = Date.now() + Number(ms);
  while (Date.now() < endsAt);
  return client.call("llen", "order");
}, ["no-writes"]);
redis.register_function("add", (client) => {
  const both = client.call("mget", "a", "b");
  client.call("set", "a", String(Number(both[0] ?? 0) + 1));
  client.call("set", "b", String(Number(both[1] ?? 0) + 1));
});
redis.register_function("read", (client) => String(client.call("get", "a")) + " " + String(client.call("get", "b")), ["no-writes"]);
redis.register_remote_function("remote", async (client) => client.block((c) => c.call("ping")));
redis.register_async_function("there_and_back", async (client) => client.run_on_key("k", "remote"));
redis.register_function("later", (client, key) => { void client.executeAsync(async (c) => c.block((b) => b.call("incr", key))); });
redis.register_async_function("stuck", async () => (7n ** (1n << 24n)).toString().length);
`;
const ISOLATED = `#!js name=isolated isolates=4${BODY}`;
const SHARED = `#!js name=shared${BODY}`;

async function connection(sandbox: LocalSandbox): Promise<RespConnection & Disposable> {
  const redis = new RespConnection(sandbox.redis, { name: "test" });
  redis.connect();
  await redis.whenReady();
  return Object.assign(redis, { [Symbol.dispose]: () => redis.close() });
}

/** Resolves once as many isolates of the library answer at the same time. */
async function untilSpread(sandbox: LocalSandbox, hash: string, isolates: number): Promise<void> {
  await eventually(
    async () => {
      const names = await Promise.all(Array.from({ length: 2 * isolates }, () => sandbox.call(hash, "who")));
      return new Set(names).size === isolates;
    },
    { what: `${isolates} isolates that take calls`, deadlineMs: 20_000 },
  );
}

test("a library that asks for isolates shares no globals between them", async (t) => {
  await using sandbox = await startSandbox();
  const shared = await sandbox.load(SHARED);
  const counts = await Promise.all(Array.from({ length: 8 }, () => sandbox.call(shared, "count")));
  t.deepEqual(counts, [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n], "one isolate: its author expects that");
  const isolated = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, isolated, 4);
  t.is(await sandbox.call(isolated, "there_and_back"), "PONG");
});

test("its calls run beside one another, those of a library in one isolate do not", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 5000, lockRedisTimeoutMs: 5000 });
  const isolated = await sandbox.load(ISOLATED);
  const shared = await sandbox.load(SHARED);
  await untilSpread(sandbox, isolated, 4);
  for (const [hash, isBeside] of [
    [isolated, true],
    [shared, false],
  ] as const) {
    let lookEnded = false;
    const look = sandbox.call(hash, "look", ["long", "1000"]).finally(() => {
      lookEnded = true;
    });
    t.is(await sandbox.call(hash, "ping"), "PONG");
    t.is(!lookEnded, isBeside, hash === isolated ? "isolated" : "shared");
    await look;
  }
});

test("a block that may write has the shard alone, also against other libraries' isolates", async (t) => {
  await using sandbox = await startSandbox({ runTimeoutMs: 5000, lockRedisTimeoutMs: 5000 });
  using redis = await connection(sandbox);
  const isolated = await sandbox.load(ISOLATED);
  const shared = await sandbox.load(SHARED);
  await untilSpread(sandbox, isolated, 4);
  const holds = ["a", "b", "c", "d"].map((name) => sandbox.call(isolated, "hold", [name, "30"]));
  await Promise.all([...holds, sandbox.call(shared, "hold", ["e", "30"])]);
  const order = ((await redis.command(["LRANGE", "order", "0", "-1"])) as Buffer[]).map(String);
  t.is(order.length, 10);
  for (let at = 0; at < 10; at += 2) {
    const [name] = (order[at] ?? "").split(" ");
    t.deepEqual(order.slice(at, at + 2), [`${name} begins`, `${name} ends`]);
  }
});

test("readers in other isolates never see half of a block", async (t) => {
  await using sandbox = await startSandbox();
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

test("cancels and background work find the isolate of their run", async (t) => {
  await using sandbox = await startSandbox();
  using redis = await connection(sandbox);
  const hash = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, hash, 4);
  await Promise.all(Array.from({ length: 12 }, () => sandbox.call(hash, "later", ["done"])));
  await eventually(async () => String(await redis.command(["GET", "done"])) === "12", { what: "the background work" });
  const caller = new AbortController();
  const waiting = Array.from({ length: 12 }, () =>
    t.throwsAsync(sandbox.call(hash, "wait", [], { signal: caller.signal }), { code: "CANCELLED" }),
  );
  t.is(sandbox.supervisor.inFlight, 12);
  caller.abort();
  await Promise.all(waiting);
  t.is(sandbox.supervisor.inFlight, 0);
});

test("code that cannot be ended on any thread ends the process, and the next one serves its library", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(ISOLATED);
  await untilSpread(sandbox, hash, 4);
  const { pid } = sandbox.supervisor;
  const stuck = await Promise.all(
    Array.from({ length: 4 }, () => sandbox.call(hash, "stuck").catch((thrown: unknown) => Fault.from(thrown).code)),
  );
  t.true(stuck.includes("FUNCTION_TIMEOUT"), stuck.join(" "));
  await eventually(() => ![pid, undefined].includes(sandbox.supervisor.pid), { what: "the next process" });
  t.is(await sandbox.call(hash, "ping"), "PONG");
});

test("isolates are asked for in the header or the configuration, within bounds", async (t) => {
  await using sandbox = await startSandbox();
  const refused = async (text: string, config = "{}") => {
    const fault = await t.throwsAsync(sandbox.load(text, config), { code: "LIBRARY_REFUSED" });
    return fault?.message;
  };
  t.is(await refused(ISOLATED.replace("=4", "=5")), "the library asks for 5 isolates, and 4 are allowed (maxIsolates)");
  for (const wrong of ["=0", "=-1", "=1.5", "=x", "=", "=65"]) {
    t.is(await refused(ISOLATED.replace("=4", wrong)), "isolates must be a whole number from 1 to 64", wrong);
  }
  t.is(await refused(SHARED, '{"isolates": "2"}'), "isolates must be a whole number from 1 to 64");
  const configured = await sandbox.load(SHARED, '{"isolates": 3}');
  await untilSpread(sandbox, configured, 3);
});
