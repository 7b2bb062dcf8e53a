import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { SEED } from "../support/seed-libraries.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

let sandbox: LocalSandbox;

test.before(async () => {
  sandbox = await startSandbox();
});

test.after.always(() => sandbox[Symbol.asyncDispose]());

/** Calls `f` of a library that holds `code`, with the header before it on the same line, so that lines count from 1. */
async function callWith(code: string, args: readonly (string | Uint8Array)[] = [], config = "{}"): Promise<unknown> {
  return sandbox.call(await sandbox.load(`#!js name=lib\n${code}`, config), "f", args);
}

async function refused(
  t: ExecutionContext,
  call: Promise<unknown>,
  expected: { code: string; message: string | RegExp },
) {
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  t.is(fault?.code, expected.code as Fault["code"], fault?.message);
  if (typeof expected.message === "string") t.is(fault?.message, expected.message);
  else t.regex(fault?.message ?? "", expected.message);
}

const sync = (body: string, flags = "") => `redis.register_function("f", (client, ...args) => { ${body} }${flags});`;
const async_ = (body: string) => `redis.register_async_function("f", async (client, ...args) => { ${body} });`;

test("the seed's libraries load as they stand and give the right answer", async (t) => {
  const keys = await sandbox.load(SEED.totalKeys);
  t.is(typeof (await sandbox.call(keys, "test")), "bigint");
  await callWith(sync(`client.call("set", "x", "17")`));
  t.is(await sandbox.call(await sandbox.load(SEED.remoteGet), "test"), "17");
});

test("a name that is not defined fails when it is called, and the error names the line", async (t) => {
  const first = await sandbox.load(SEED.undefinedName);
  const [error] = (await sandbox.call(first, "my_dbsize")) as [string];
  t.is(error, "ReferenceError: client is not defined (first:3) in dbsize");
});

test("every spelling of the API is there", async (t) => {
  const code = `
    redis.register_remote_function("r1", async (client) => client.block(c => c.call("ping")));
    redis.registerClusterFunction("r2", async (client) => client.block(c => c.callRaw("ping").byteLength));
    redis.register_function("f1", (c) => [c.allow_block(), c.call_raw("ping").byteLength]);
    redis.registerFunction("f2", (c) => c.isBlockAllowed(), { description: "d", flags: [redis.functionFlags.NO_WRITES] });
    redis.register_async_function("a1", async (c) => [await c.run_on_key("k", "r1"), await c.run_on_all_shards("r2")]);
    redis.registerAsyncFunction("a2", (c) => c.runOnKey("k", "r2"));
    redis.registerAsyncFunction("a3", async (c) => c.runOnShards("r1"));
    redis.register_function("b1", (c) => c.run_on_background(async (c) => c.block(c => c.call("ping"))));
    redis.registerFunction("b2", (c) => c.executeAsync(async (c) => c.runOnKey("k", "r1")));
    redis.register_function("v", () => [typeof redis.v8_version(), redis.v8Version() === redis.v8_version(),
      redis.api_version(), redis.apiVersion()]);`;
  const hash = await sandbox.load(`#!js name=spelled api_version=1.1\n${code}`);
  t.deepEqual(await sandbox.call(hash, "f1"), [true, 4n]);
  t.is(await sandbox.call(hash, "f2"), true);
  t.deepEqual(await sandbox.call(hash, "a1"), ["PONG", [[4n], []]]);
  t.is(await sandbox.call(hash, "a2"), 4n);
  t.deepEqual(await sandbox.call(hash, "a3"), [["PONG"], []]);
  t.is(await sandbox.call(hash, "b1"), "PONG");
  t.is(await sandbox.call(hash, "b2"), "PONG");
  t.deepEqual(await sandbox.call(hash, "v"), ["string", true, "1.1", "1.1"]);
});

test("what was registered is told", async (t) => {
  const text = `#!js name=told
    redis.register_function("s", () => 1, ["no-writes", "raw-arguments"]);
    redis.registerAsyncFunction("a", async () => 1, { description: "counts" });
    redis.register_remote_function("r", async () => 1);`;
  const { librarySource } = await import("../../src/functions/library-version.ts");
  t.deepEqual(await sandbox.supervisor.load(librarySource("told", text, "{}")), {
    functions: [
      { name: "s", isAsync: false, flags: ["no-writes", "raw-arguments"], description: "" },
      { name: "a", isAsync: true, flags: [], description: "counts" },
    ],
    remoteFunctions: ["r"],
  });
});

for (const [code, message] of [
  ["", "Neither function nor other registrations were found."],
  ["let a = ;", "SyntaxError: Unexpected token ';' (bad:2)"],
  ["\nfoo();", "ReferenceError: foo is not defined (bad:3)"],
  ["throw 'text';", "text"],
  ["redis.register_function('f')", "Wrong number of arguments given (bad:2)"],
  ["redis.register_function(5, () => 1)", "Value is not string (bad:2)"],
  ["redis.register_function('x-y', () => 1)", "Unallowed function name 'x-y' (bad:2)"],
  ["redis.registerClusterFunction('x y', async () => 1)", "Unallowed cluster function name 'x y' (bad:2)"],
  ["redis.registerClusterFunction('f', 5)", "Second argument to 'registerClusterFunction' must be a function (bad:2)"],
  ["redis.register_remote_function('f', () => 1)", "Remote function must be async (bad:2)"],
  ["for (;;) redis.register_function('f', () => 1)", "Function f already exists (bad:2)"],
  ["for (;;) redis.register_remote_function('f', async () => 1)", "Remote function f already exists (bad:2)"],
  ["redis.register_function('f', () => 1, ['fast'])", "Unknown flag 'fast' was given (bad:2)"],
  ["redis.register_stream_consumer('f', 'p', 1, false, () => 1)", /'register_stream_consumer' is not supported.*bad:2/],
  ["redis.registerKeySpaceTrigger('f', 'p', () => 1)", /'registerKeySpaceTrigger' is not supported/],
  ["while (true);", "the library's top level ran longer than 1000 ms"],
  ["const all = []; for (;;) all.push({ all });", /needs more than 64 MB to load|ran longer than 1000 ms/],
] as const) {
  test(`a library is refused: ${code}`, async (t) => {
    await refused(t, sandbox.load(`#!js name=bad\n${code}`), { code: "LIBRARY_REFUSED", message });
  });
}

test("registering after the load is refused", async (t) => {
  await refused(t, callWith(sync(`redis.register_function("late", () => 1)`)), {
    code: "FUNCTION_FAILED",
    message: "'register_function' may only be called while the library is loaded",
  });
});

test("what a library must not have is absent, by whatever way", async (t) => {
  const names = [
    "eval",
    "SharedArrayBuffer",
    "Atomics",
    "WebAssembly",
    "console",
    "process",
    "require",
    "setTimeout",
    "fetch",
  ];
  t.deepEqual(await callWith(sync(`return ${JSON.stringify(names)}.filter((name) => name in globalThis)`)), []);
  for (const way of [
    "Function",
    "(() => 1).constructor",
    "(async () => 1).constructor",
    "(function* () {}).constructor",
  ]) {
    await refused(t, callWith(sync(`return ${way}("return 1")()`)), {
      code: "FUNCTION_FAILED",
      message: "a library cannot make code from text",
    });
  }
  t.is(await callWith(sync(`return (() => 1) instanceof Function`)), true);
});

test("arguments are strings, or ArrayBuffers with raw-arguments; what is not UTF-8 is refused as a string", async (t) => {
  t.deepEqual(await callWith(sync("return args"), ["a", "é"]), ["a", "é"]);
  await refused(t, callWith(sync("return args"), [Buffer.from([0xff])]), {
    code: "FUNCTION_FAILED",
    message: "Could not decode value as string",
  });
  const raw = sync("return args.map((arg) => [arg instanceof ArrayBuffer, arg.byteLength])", `, ["raw-arguments"]`);
  t.deepEqual(await callWith(raw, [Buffer.from([0xff, 0])]), [[true, 2n]]);
});

test("too few arguments are told with the numbers", async (t) => {
  await refused(t, callWith(`redis.register_function("f", (client, a, b) => 1)`, ["x"]), {
    code: "INVALID_ARGUMENT",
    message: "Not enough arguments was given, expected at least 2 arguments, got 1 arguments.",
  });
});

test("replies of Redis keep their type", async (t) => {
  const code = sync(`
    client.call("flushall" === args[0] ? "ping" : "del", "h", "s", "b", "z");
    client.call("hset", "h", "a", 1, "__proto__", "2");
    client.call("sadd", "s", "m");
    client.call("set", "b", new Uint8Array([255]).buffer);
    client.call("zadd", "z", "1.5", "m");
    const map = client.call("hgetall", "h");
    const set = client.call("smembers", "s");
    return [typeof client.call("dbsize"), map.a, Object.keys(map).length, set instanceof Set && set.has("m"),
      client.call("zscore", "z", "m"), client.call("get", "missing"), client.callRaw("get", "b").byteLength,
      client.call("lrange", "missing", 0n, -1)];`);
  t.deepEqual(await callWith(code, [""]), ["bigint", "1", 2n, true, 1.5, null, 1n, []]);
});

for (const [body, message] of [
  [`client.call("get", {})`, "Can not convert value into bytes buffer"],
  [
    `client.call("set", "bin", new Uint8Array([255]).buffer); client.call("get", "bin")`,
    "Could not decode value as string",
  ],
  [`client.call("hset", "str" + client.call("set", "str", "x"), "a")`, /wrong number of arguments/],
  [`client.call("config", "get", "*")`, /^Command 'config\\|get' is not allowed in functions/],
  [`client.call("nonsense")`, /unknown command/],
  [`return 1n << 70000n`, "the integer has more than 65536 bits"],
  [`return () => 1`, "a function cannot be a result"],
  [`let a = []; a = [a]; a[0] = a; return a`, "nesting level reached"],
  [`throw "a text"`, "a text"],
  [`throw null`, "null"],
  [`throw { toString() { throw 1 } }`, "an error that has no text"],
  [`throw new TypeError("mine")`, "TypeError: mine (lib:2) in f"],
] as const) {
  test(`a synchronous function fails: ${body}`, async (t) => {
    await refused(t, callWith(sync(body)), { code: "FUNCTION_FAILED", message });
  });
}

test("an error of the API is a value whose String() is its message, and can be returned", async (t) => {
  t.deepEqual(await callWith(sync(`try { client.call("get", {}) } catch (e) { return [String(e), e.message, e] }`)), [
    "Can not convert value into bytes buffer",
    "Can not convert value into bytes buffer",
    "Can not convert value into bytes buffer",
  ]);
});

test("a function that only reads cannot write, an unflagged one can", async (t) => {
  await refused(t, callWith(sync(`client.call("set", "a", "b")`, `, ["no-writes"]`)), {
    code: "FUNCTION_FAILED",
    message: "Write command 'set' was called while write is not allowed",
  });
  t.is(await callWith(sync(`return client.call("set", "a", "b")`)), "OK");
});

for (const [body, message] of [
  [`client.block((c) => client.block(() => 1))`, "a block cannot be opened within a block"],
  [`let kept; client.block((c) => { kept = c }); kept.call("ping")`, "the client was used after its block ended"],
  [`await client.block(async (c) => { await null; c.call("ping") })`, "the client was used after its block ended"],
  [`client.block(5)`, "the argument of 'block' must be a function"],
  [`client.run_on_key("k", "echo", ...[1n])`, "Failed serializing arguments"],
  [`const a = {}; a.a = a; client.run_on_all_shards("echo", a)`, "Failed serializing arguments"],
  [`await client.run_on_key("k", "echo", undefined)`, "Failed deserializing remote function argument"],
  [`await client.run_on_key("k", "nothing")`, "Failed deserializing remote function result"],
  [
    `await client.run_on_key("k", "integer")`,
    "Failed serializing result: TypeError: Do not know how to serialize a BigInt",
  ],
  [`await client.run_on_key("k", "absent")`, "Remote function absent does not exists on library lib"],
  [`await client.run_on_key("k", "write")`, "Write command 'set' was called while write is not allowed"],
  [`await client.run_on_key("k", "fails")`, "Error: no (lib:7) in fails"],
  [`await client.run_on_key({}, "echo")`, "Can not convert value into bytes buffer"],
  [`client.call("ping")`, "TypeError: client.call is not a function (lib:2) in f"],
] as const) {
  test(`an async function fails: ${body}`, async (t) => {
    const remote = `
redis.register_remote_function("echo", async (client, value) => value);
redis.register_remote_function("nothing", async () => undefined);
redis.register_remote_function("integer", async () => 1n);
redis.register_remote_function("write", async (client) => client.block((c) => c.call("set", "a", "b")));
redis.register_remote_function("fails", async () => { throw new Error("no") });`;
    await refused(t, callWith(async_(body) + remote), { code: "FUNCTION_FAILED", message });
  });
}

test("a client that outlives its function is of no use", async (t) => {
  const hash = await sandbox.load(`#!js name=outlive
    let kept;
    redis.register_async_function("keep", async (client) => { kept = client; });
    redis.register_async_function("use", async () => kept.block((c) => c.call("ping")));
    redis.register_async_function("remote", async () => kept.run_on_key("k", "r"));
    redis.register_remote_function("r", async () => 1);`);
  await sandbox.call(hash, "keep");
  for (const name of ["use", "remote"]) {
    await refused(t, sandbox.call(hash, name), {
      code: "FUNCTION_FAILED",
      message: "the client was used after its function ended",
    });
  }
});

test("remote functions get and give JSON, and ArrayBuffers as they are", async (t) => {
  const code = `
    redis.register_remote_function("echo", async (client, ...values) => values.length === 1 ? values[0] : values);
    redis.register_async_function("f", async (client) => {
      const bytes = new Uint8Array([0, 255, 10]).buffer;
      const back = await client.run_on_key(bytes, "echo", bytes);
      return [back instanceof ArrayBuffer && [...new Uint8Array(back)].join(), await client.run_on_key("k", "echo", { a: [1, null, "é"] }, 2.5),
        await client.run_on_all_shards("echo", "x"), await client.run_on_all_shards("absent")];
    });`;
  t.deepEqual(await callWith(code), [
    "0,255,10",
    [{ a: [1n, null, "é"] }, 2.5],
    [["x"], []],
    [[], ["Remote function absent does not exists on library lib"]],
  ]);
});

test("globals live as long as the version, and the configuration is there", async (t) => {
  const hash = await sandbox.load(
    `#!js name=counting\nlet n = 0; redis.register_function("f", () => [++n, redis.config.step])`,
    `{"step": 3}`,
  );
  t.deepEqual(await sandbox.call(hash, "f"), [1n, 3n]);
  t.deepEqual(await sandbox.call(hash, "f"), [2n, 3n]);
});

test("a library that patches built-ins harms no one's results", async (t) => {
  const code = `
    JSON.stringify = () => { throw 1 }; Promise.prototype.then = () => 1; Array.prototype.push = () => 1;
    String.prototype.charCodeAt = () => 0; Object.keys = () => []; Object.prototype.timeout = 1;
    redis.register_remote_function("r", async () => ({ a: "é" }));
    redis.register_async_function("f", async (client) => [{ a: "é" }, await client.run_on_key("k", "r")]);`;
  t.deepEqual(await callWith(code), [{ a: "é" }, { a: "é" }]);
});

test("a promise that is rejected and that nobody looks at is logged, and ends nothing", async (t) => {
  const code = `
redis.register_remote_function("fails", async () => { throw new Error("no") });
redis.register_async_function("f", async (client) => {
  Promise.reject(new Error("unseen"));
  client.run_on_key("k", "fails");
  const late = (async () => { throw new Error("late") })();
  await client.run_on_all_shards("fails");
  try { await late } catch (error) { return error }
});`;
  t.is(await callWith(code), "Error: late");
  t.true(sandbox.logged.includes("lib: unhandled rejection: Error: unseen (lib:5)"));
});

test("a library that changes how its registrations are told is refused", async (t) => {
  await refused(
    t,
    sandbox.load(
      `#!js name=liar\nredis.register_function("f", () => 1); Array.prototype.toJSON = () => [{ name: "a b" }];`,
    ),
    {
      code: "LIBRARY_REFUSED",
      message: "the library changed how its registrations are told",
    },
  );
});

test("redis.log reaches the log, bounded", async (t) => {
  await callWith(sync(`redis.log("hello"); redis.log(7); redis.log("x".repeat(10000))`));
  t.true(sandbox.logged.includes("lib: hello"));
  t.true(sandbox.logged.includes("lib: 7"));
  t.true(sandbox.logged.every((line) => line.length < 5000));
});

test("a result that is too large is refused inside, whatever its shape", async (t) => {
  const bodies = [
    `return "x".repeat(400 * 1024 * 1024)`,
    `return ["x".repeat(100000)]`,
    `return new ArrayBuffer(100000)`,
    `return Array(100000).fill(1)`,
    `return (1n << 65000n) && Array(100).fill(1n << 65000n)`,
  ];
  for (const body of bodies) {
    await refused(t, callWith(sync(body)), {
      code: "RESOURCE_EXHAUSTED",
      message: "the result takes more than 65536 bytes",
    });
  }
  await refused(
    t,
    callWith(`redis.register_remote_function("r", async () => "x".repeat(100000));
      redis.register_async_function("f", async (c) => c.run_on_key("k", "r"))`),
    { code: "FUNCTION_FAILED", message: "the result takes more than 65536 bytes" },
  );
  await refused(t, callWith(async_(`await client.run_on_key("k", "r", "x".repeat(100000))`)), {
    code: "RESOURCE_EXHAUSTED",
    message: "the arguments take more than 65536 bytes",
  });
});
