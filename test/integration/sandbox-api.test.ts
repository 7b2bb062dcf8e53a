import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { asyncFunction, syncFunction } from "../support/function-code.ts";
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

test("the seed's libraries load as they stand and give the right answer", async (t) => {
  const keys = await sandbox.load(SEED.totalKeys);
  t.is(typeof (await sandbox.call(keys, "test")), "bigint");
  await callWith(syncFunction(`client.call("set", "x", "17")`));
  t.is(await sandbox.call(await sandbox.load(SEED.remoteGet), "test"), "17");
});

test("a name that is not defined fails when it is called, and the error names the line", async (t) => {
  const first = await sandbox.load(SEED.undefinedName);
  const [error] = (await sandbox.call(first, "my_dbsize")) as [string];
  t.is(error, "ReferenceError: client is not defined (first:3) in dbsize");
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
    rpcMethods: [],
    tasks: [],
    middleware: [],
  });
});

test("a library that needs more memory than it may have is refused", async (t) => {
  // Of its own: where it cannot be ended in time, because it collects garbage, its process is.
  await using other = await startSandbox({ loadTimeoutMs: 30_000 });
  const hoard = "#!js name=bad\nconst all = []; for (;;) all.push({ all });";
  await refused(t, other.load(hoard), {
    code: "LIBRARY_REFUSED",
    message: "the library needs more than 64 MB to load",
  });
});

test("instanceof Function works, although nothing can be made by it", async (t) => {
  t.is(await callWith(syncFunction(`return (() => 1) instanceof Function`)), true);
});

for (const [body, message] of [
  [`client.call("hset", "str" + client.call("set", "str", "x"), "a")`, /wrong number of arguments/],
  [`client.call("config", "get", "*")`, /^Command 'config\\|get' is not allowed in functions/],
  [`client.call("nonsense")`, /unknown command/],
  [`return 1n << 70000n`, "the integer has more than 65536 bits"],
  [`return () => 1`, "a function cannot be a result"],
  [`throw "a text"`, "a text"],
  [`throw null`, "null"],
  [`throw { toString() { throw 1 } }`, "an error that has no text"],
  [`throw new TypeError("mine")`, "TypeError: mine (lib:2) in f"],
] as const) {
  test(`a synchronous function fails: ${body}`, async (t) => {
    await refused(t, callWith(syncFunction(body)), { code: "FUNCTION_FAILED", message });
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
  await callWith(syncFunction(`redis.log("hello"); redis.log(7); redis.log("x".repeat(10000))`));
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
    await refused(t, callWith(syncFunction(body)), {
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
  await refused(t, callWith(asyncFunction(`await client.run_on_key("k", "r", "x".repeat(100000))`)), {
    code: "RESOURCE_EXHAUSTED",
    message: "the arguments take more than 65536 bytes",
  });
});
