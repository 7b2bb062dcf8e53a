import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

/** `ticks` is how long background work waits for a function to be over: each is a way to the coordinator and back. */
const LIBRARY = `#!js name=lib
let kept, ofFunction;
const released = Promise.withResolvers();
const work = async (client, key, ticks = 5) => {
  for (let i = 0; i < ticks; i++) await client.runOnKey("k", "echo", i);
  client.block((c) => c.call("set", key, "done"));
};
redis.register_remote_function("echo", async (client, value) => value);
redis.register_function("get", (client, key) => client.call("get", key));
redis.register_function("start", (client, key) => { client.run_on_background((c) => work(c, key)); return "started"; });
redis.register_async_function("startFromAsync", async (client, key) => {
  ofFunction = client;
  client.block((c) => { c.executeAsync(async (c) => { await released.promise; await work(c, key); }); });
  return "started";
});
redis.register_function("startAndFail", (client, key) => { client.executeAsync((c) => work(c, key)); throw new Error("no"); });
redis.register_async_function("release", async () => released.resolve());
redis.register_async_function("useOfFunction", async () => ofFunction.block((c) => c.call("ping")));
redis.register_function("shards", (client, key) => {
  client.executeAsync(async (c) => {
    const [values] = await c.run_on_all_shards("echo", "all");
    c.block((c) => c.call("set", key, values.join()));
  });
});
redis.register_function("nested", (client, key) => {
  client.executeAsync(async (c) => { c.block((c) => { c.executeAsync((c) => work(c, key)); }); });
});
redis.register_remote_function("hops", async (client, hops) => {
  for (let i = 0; i < hops; i++) await client.runOnKey("k", "echo", i);
  return hops;
});
redis.register_async_function("outlives", async (client) => {
  client.block((c) => { c.executeAsync(async () => 1); });
  await client.runOnKey("k", "echo", 1);
  return client.runOnKey("k", "hops", 20);
});
redis.register_async_function("outlivesAtOnce", async (client) => {
  client.block((c) => { c.executeAsync(async (c) => c.runOnKey("k", "echo", 1)); });
  return client.runOnKey("k", "hops", 20);
});
redis.register_function("keep", (client) => { client.executeAsync(async (c) => { kept = c; }); });
redis.register_async_function("useKept", async () => kept.block((c) => c.call("ping")));
redis.register_function("throws", (client) => {
  client.executeAsync(async (c) => {
    await c.runOnKey("k", "echo", 1);
    throw new Error("unseen");
  });
});
redis.register_function("caught", (client) => { client.executeAsync(async () => { throw 1; }).catch(() => redis.log("caught")); });
redis.register_function("writes", (client) => {
  client.executeAsync(async (c) => c.block((c) => c.call("set", "forbidden", "1")));
}, ["no-writes"]);
redis.register_function("never", (client) => { client.executeAsync(() => new Promise(() => {})); return "started"; });
redis.register_function("many", (client, count) => {
  for (let i = 0; i < Number(count); i++) client.executeAsync(() => new Promise(() => {}));
});
redis.register_function("spin", (client) => {
  client.executeAsync(async (c) => { await c.runOnKey("k", "echo", 1); for (;;); });
  return "started";
});
redis.register_function("slow", (client) => { client.executeAsync(async () => { for (;;); }); return "started"; });
redis.register_function("loop", (client, key) => {
  client.executeAsync(async (c) => {
    for (;;) { await c.runOnKey("k", "echo", 1); c.block((c) => c.call("incr", key)); }
  });
});
`;

async function becomes(sandbox: LocalSandbox, hash: string, key: string, expected: string): Promise<void> {
  await eventually(async () => (await sandbox.call(hash, "get", [key])) === expected, {
    what: `${expected} at ${key}`,
  });
}

async function logs(t: ExecutionContext, sandbox: LocalSandbox, line: string | RegExp): Promise<void> {
  const isThere = () => sandbox.logged.some((each) => (typeof line === "string" ? each === line : line.test(each)));
  await eventually(isThere, { what: `the log line ${line}` });
  t.true(isThere());
}

async function faultOf(t: ExecutionContext, call: Promise<unknown>): Promise<Pick<Fault, "code" | "message">> {
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  return { code: fault?.code ?? "INTERNAL", message: fault?.message ?? "" };
}

let sandbox: LocalSandbox;
let hash: string;

test.before(async () => {
  sandbox = await startSandbox();
  hash = await sandbox.load(LIBRARY);
});

test.after.always(() => sandbox[Symbol.asyncDispose]());

for (const name of ["start", "nested"]) {
  test(`background work goes on after the result, with blocks and remote calls: ${name}`, async (t) => {
    await sandbox.call(hash, name, [name]);
    t.is(await sandbox.call(hash, "get", [name]), null);
    await becomes(sandbox, hash, name, "done");
  });
}

test("it reaches every shard", async (t) => {
  await sandbox.call(hash, "shards", ["all"]);
  await t.notThrowsAsync(becomes(sandbox, hash, "all", "all"));
});

test("a client of the function itself is of no use once that has ended, though its background work goes on", async (t) => {
  t.is(await sandbox.call(hash, "startFromAsync", ["async"]), "started");
  t.deepEqual(await faultOf(t, sandbox.call(hash, "useOfFunction")), {
    code: "FUNCTION_FAILED",
    message: "the client was used after its function ended",
  });
  await sandbox.call(hash, "release");
  await becomes(sandbox, hash, "async", "done");
});

test("a client of background work is of no use once that has ended", async (t) => {
  await sandbox.call(hash, "keep");
  await eventually(
    async () =>
      (await faultOf(t, sandbox.call(hash, "useKept"))).message === "the client was used after its function ended",
    { what: "the end of the background work" },
  );
});

for (const name of ["outlives", "outlivesAtOnce"]) {
  test(`its end ends no remote call of the function itself: ${name}`, async (t) => {
    t.is(await sandbox.call(hash, name), 20n);
  });
}

test("it goes on where its function fails", async (t) => {
  t.regex((await faultOf(t, sandbox.call(hash, "startAndFail", ["failed"]))).message, /Error: no/);
  await becomes(sandbox, hash, "failed", "done");
});

test("it goes on where the caller's signal is aborted after the result", async (t) => {
  const caller = new AbortController();
  t.is(await sandbox.call(hash, "start", ["left"], { signal: caller.signal }), "started");
  caller.abort();
  await becomes(sandbox, hash, "left", "done");
});

test("what it throws is logged, unless the library looks at it", async (t) => {
  await sandbox.call(hash, "caught");
  await sandbox.call(hash, "throws");
  const line = LIBRARY.split("\n").findIndex((text) => text.includes('"unseen"')) + 1;
  await logs(t, sandbox, `lib: unhandled rejection: Error: unseen (lib:${line})`);
  await logs(t, sandbox, "lib: caught");
  t.deepEqual(
    sandbox.logged.filter((text) => /rejection: 1/.test(text)),
    [],
  );
});

test("of a function that only reads, it only reads", async (t) => {
  await sandbox.call(hash, "writes");
  await eventually(
    () => sandbox.logged.some((line) => line.includes("Write command 'set' was called while write is not allowed")),
    { what: "the refusal" },
  );
  t.is(await sandbox.call(hash, "get", ["forbidden"]), null);
});

test.serial("it ends at its call's deadline, and the log tells", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  await sandbox.call(hash, "loop", ["n"], { deadline: deadlineIn(800) });
  t.is(await sandbox.call(hash, "never", [], { deadline: deadlineIn(850) }), "started");
  await logs(t, sandbox, "lib: background work of never was ended: the call's deadline passed");
  const count = await sandbox.call(hash, "get", ["n"]);
  t.true(Number(count) > 0);
  for (let i = 0; i < 10; i++) await sandbox.call(hash, "get", ["n"]);
  t.is(await sandbox.call(hash, "get", ["n"]), count);
});

test.serial("it ends with its caller, as long as that waits for the result", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(`#!js name=lib
    redis.register_remote_function("echo", async () => 1);
    redis.register_function("get", (client, key) => client.call("get", key));
    redis.register_function("loop", (client, key) => client.executeAsync(async (c) => {
      for (;;) { await c.runOnKey("k", "echo"); c.block((c) => c.call("incr", key)); }
    }));`);
  const caller = new AbortController();
  const call = faultOf(t, sandbox.call(hash, "loop", ["n"], { signal: caller.signal }));
  await eventually(async () => Number(await sandbox.call(hash, "get", ["n"])) > 0, { what: "a beginning" });
  caller.abort();
  t.is((await call).code, "CANCELLED");
  const count = await sandbox.call(hash, "get", ["n"]);
  for (let i = 0; i < 10; i++) await sandbox.call(hash, "get", ["n"]);
  t.is(await sandbox.call(hash, "get", ["n"]), count);
});

for (const name of ["spin", "slow"]) {
  test.serial(`without a pause it is ended at the limit, after the result has left: ${name}`, async (t) => {
    await using sandbox = await startSandbox({ runTimeoutMs: 1500 });
    const hash = await sandbox.load(LIBRARY);
    const { pid } = sandbox.supervisor;
    t.is(await sandbox.call(hash, name), "started");
    t.deepEqual(sandbox.logged, []);
    const text = `lib: background work of ${name} was ended: the function ran longer than 1500 ms without a pause`;
    await logs(t, sandbox, new RegExp(`^${text} \\(lib:\\d+\\) in ${name}$`));
    t.is(sandbox.supervisor.pid, pid);
    t.is(await sandbox.call(hash, "get", ["none"]), null);
  });
}

test.serial("a library has so much of it at most, and may have more once some has ended", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  await sandbox.call(hash, "many", ["255"], { deadline: deadlineIn(5000) });
  await sandbox.call(hash, "never");
  t.deepEqual(await faultOf(t, sandbox.call(hash, "never")), {
    code: "RESOURCE_EXHAUSTED",
    message: "the library has too much background work; let some of it end first",
  });
  const other = await sandbox.load(LIBRARY.replace("name=lib", "name=other"));
  t.is(await sandbox.call(other, "never"), "started");
  await eventually(async () => (await sandbox.call(hash, "never").catch(() => "")) === "started", { what: "a place" });
  await sandbox.call(hash, "many", ["250"]);
});

test.serial("it ends when its version is unloaded, when the process ends, and at the end", async (t) => {
  await using sandbox = await startSandbox();
  const hash = await sandbox.load(LIBRARY);
  await sandbox.call(hash, "never");
  sandbox.supervisor.unload(hash);
  await logs(t, sandbox, "lib: background work of never was ended: the library version was unloaded");
  await sandbox.load(LIBRARY);
  await sandbox.call(hash, "loop", ["n"]);
  const { pid } = sandbox.supervisor;
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGKILL");
  await eventually(() => sandbox.supervisor.pid !== pid, { what: "the end of the process" });
  const count = await sandbox.call(hash, "get", ["n"]);
  for (let i = 0; i < 10; i++) await sandbox.call(hash, "get", ["n"]);
  t.is(await sandbox.call(hash, "get", ["n"]), count);
  await sandbox.call(hash, "loop", ["n"]);
});

test.serial("in a cluster, its remote calls go on after the client has its result", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  await using client = connect({ address: cluster.nodes[0]?.coordinator.address ?? "", token: cluster.token });
  await client.load(`#!js name=far
    redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
    redis.register_remote_function("one", async () => 1);
    redis.register_async_function("copy", async (client, from, to) => {
      client.block((c) => c.executeAsync(async (c) => {
        while ((await c.runOnKey(from, "get", "{" + from + "}go")) === null);
        const first = await c.runOnKey(from, "get", from);
        const second = await c.runOnKey(from, "get", from);
        const [values] = await c.runOnShards("one");
        c.block((c) => c.call("set", to, first + second + values.length));
      }));
      await client.runOnKey(to, "get", to);
      return "started";
    });
    redis.register_function("set", (client, key, value) => client.call("set", key, value));
    redis.register_function("get", (client, key) => client.call("get", key));`);
  const [near, far] = cluster.nodes.map((node) => keyOn(cluster, node));
  if (!near || !far) throw new Error("no keys");
  await client.call("far.set", { keys: [far], args: ["x"] });
  t.is(await client.call("far.copy", { args: [far, near] }), "started");
  t.is(await client.call("far.get", { keys: [near] }), null);
  await client.call("far.set", { keys: [`{${far}}go`], args: ["now"] });
  await eventually(async () => (await client.call("far.get", { keys: [near] })) === "xx2", { what: "the copy" });
});

const ASYNC_CALLS = (version: string) => `#!js name=lib api_version=${version}
redis.register_function("has", (c) => [typeof c.callAsync, typeof c.callAsyncRaw]);
redis.register_async_function("order", async (client) => {
  const seen = [];
  const replies = client.block((c) => {
    const set = c.callAsync("set", "order", "1").then((reply) => { seen.push(reply); return reply; });
    seen.push(c.call("get", "order"));
    const number = c.callAsync("incr", "order");
    return [set, number, c.callAsyncRaw("get", "order").then((bytes) => bytes.byteLength)];
  });
  seen.push("block ended");
  return [await Promise.all(replies), seen];
});
redis.register_function("returned", (c) => c.callAsync("ping"));
redis.register_async_function("rejects", async (client, ...command) => {
  const reply = client.block((c) => c.callAsync(...command));
  try { await reply; } catch (error) { return ["rejected", String(error)]; }
});
redis.register_async_function("fails", async (client) => client.block((c) => c.callAsync("get")));
redis.register_async_function("unseen", async (client) => { client.block((c) => { c.callAsync("incr", "text", "too", "many"); }); });
redis.register_async_function("late", async (client) => client.block(async (c) => { await c.callAsync("ping"); return c.callAsync("ping"); }));
redis.register_function("odd", (c) => { try { c.callAsync("get", {}); } catch (error) { return ["thrown", error]; } });
redis.register_function("reads", (c) => c.callAsync("set", "forbidden", "1"), ["no-writes"]);
`;

test("api_version 1.0 has no callAsync, 1.1 has it", async (t) => {
  t.deepEqual(await sandbox.call(await sandbox.load(ASYNC_CALLS("1.0")), "has"), ["undefined", "undefined"]);
  t.deepEqual(await sandbox.call(await sandbox.load(ASYNC_CALLS("1.1")), "has"), ["function", "function"]);
  t.is(
    (await faultOf(t, sandbox.load(ASYNC_CALLS("1.2")))).message,
    "unknown api_version '1.2', known are 1.0 and 1.1",
  );
});

test("callAsync does the command at once, and settles its promise after the block", async (t) => {
  const hash = await sandbox.load(ASYNC_CALLS("1.1"));
  t.deepEqual(await sandbox.call(hash, "order"), [
    ["OK", 2n, 1n],
    ["1", "block ended", "OK"],
  ]);
  t.is(await sandbox.call(hash, "returned"), "PONG");
});

for (const [command, message] of [
  [["get"], /wrong number of arguments/],
  [["config", "get", "*"], /^Command 'config\|get' is not allowed in functions/],
  [["blpop", "k", "0"], /^Command 'blpop' is not allowed in functions/],
] as const) {
  test(`callAsync rejects with what call throws: ${command.join(" ")}`, async (t) => {
    const hash = await sandbox.load(ASYNC_CALLS("1.1"));
    const [kind, text] = (await sandbox.call(hash, "rejects", command)) as [string, string];
    t.is(kind, "rejected");
    t.regex(text, message);
    t.deepEqual(
      sandbox.logged.filter((line) => message.test(line.replace("lib: unhandled rejection: ", ""))),
      [],
    );
  });
}

test("callAsync: a failure that is returned fails the function, one that nobody looks at is logged", async (t) => {
  const hash = await sandbox.load(ASYNC_CALLS("1.1"));
  t.regex((await faultOf(t, sandbox.call(hash, "fails"))).message, /wrong number of arguments for 'get'/);
  t.is(await sandbox.call(hash, "unseen"), null);
  await eventually(
    () => sandbox.logged.some((line) => /^lib: unhandled rejection: .*wrong number of arguments for 'incr'/.test(line)),
    { what: "the unhandled rejection" },
  );
  t.is(
    (await faultOf(t, sandbox.call(hash, "reads"))).message,
    "Write command 'set' was called while write is not allowed",
  );
});

test("callAsync throws where the client or an argument cannot be used", async (t) => {
  const hash = await sandbox.load(ASYNC_CALLS("1.1"));
  t.is((await faultOf(t, sandbox.call(hash, "late"))).message, "the client was used after its block ended");
  t.deepEqual(await sandbox.call(hash, "odd"), ["thrown", "Can not convert value into bytes buffer"]);
});
