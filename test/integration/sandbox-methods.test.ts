import test, { type ExecutionContext } from "ava";
import { NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import { librarySource } from "../../src/functions/library-version.ts";
import { asyncFunction, syncFunction } from "../support/function-code.ts";
import { type LocalSandbox, REFUSED_TYPE, SUBSCRIBERS, startSandbox } from "./local-sandbox.ts";

let sandbox: LocalSandbox;

test.before(async () => {
  sandbox = await startSandbox();
});

test.after.always(() => sandbox[Symbol.asyncDispose]());

function load(code: string): Promise<string> {
  return sandbox.load(`#!js name=lib\n${code}`);
}

/** Registers a method `m` with this body, and a remote function `r`. */
function method(body: string): Promise<string> {
  return load(`redis.register_remote_function("r", async (client, value) => [value, "far"]);
redis.register_rpc_method("m", async (client, ...args) => { ${body} });`);
}

/** The tests share what is published, but not its types. */
function publishedAs(...types: readonly string[]) {
  return sandbox.published.filter(({ messageType }) => types.includes(messageType));
}

async function fails(
  t: ExecutionContext,
  run: Promise<unknown>,
  { code, message }: { readonly code: FaultCode; readonly message: string | RegExp },
): Promise<void> {
  const fault = await t.throwsAsync(run, { instanceOf: Fault });
  t.is(fault?.code, code, fault?.message);
  if (typeof message === "string") t.is(fault?.message, message);
  else t.regex(fault?.message ?? "", message);
}

test("an RPC method is registered by both spellings, under a name of its own", async (t) => {
  const text = `#!js name=told
    redis.register_function("same", () => 1);
    redis.register_remote_function("same", async () => 2);
    redis.register_rpc_method("same", async () => 3);
    redis.registerRpcMethod("room.join:é", async () => 4, { description: "decides who may join" });`;
  const source = librarySource("told", text, "{}");
  t.like(await sandbox.supervisor.load(source), {
    remoteFunctions: ["same"],
    rpcMethods: ["same", "room.join:é"],
    tasks: [],
    middleware: [],
    functions: [{ name: "same" }],
  });
  t.is(await sandbox.call(source.hash, "same"), 1n);
  t.is(await sandbox.method(source.hash, "same"), "3");
  t.is(await sandbox.method(source.hash, "room.join:é"), "4");
});

for (const [registration, message] of [
  [`registerRpcMethod("", async () => 1)`, "Unallowed RPC method name '': it takes 1 to 128 bytes"],
  [`registerRpcMethod("é".repeat(65), async () => 1)`, /^Unallowed RPC method name 'é+': it takes 1 to 128 bytes/],
  [`registerRpcMethod("m".repeat(1e6), async () => 1)`, /^Unallowed RPC method name: it takes 1 to 128 bytes/],
  [`registerRpcMethod("a\\ud800b", async () => 1)`, /^Unallowed RPC method name/],
  [`registerRpcMethod(7, async () => 1)`, /^Value is not string/],
  [`registerRpcMethod("m")`, /^Wrong number of arguments given/],
  [`register_rpc_method("m", 1)`, /^Second argument to 'register_rpc_method' must be a function/],
  [`registerRpcMethod("m", () => 1)`, /^RPC method must be async/],
  [`registerRpcMethod("m", async () => 1, ["no-writes"])`, /^an RPC method has no flags/],
  [`registerRpcMethod("m", async () => 1, { description: 1 })`, /^Value is not string/],
] as const) {
  test(`a registration is refused: ${registration}`, async (t) => {
    await fails(t, load(`redis.${registration};`), { code: "LIBRARY_REFUSED", message: withLine(message) });
  });
}

/** Where it stands follows. */
function withLine(message: string | RegExp): RegExp {
  return typeof message === "string" ? new RegExp(`^${message} \\(lib:2\\)$`) : message;
}

test("a method is registered once, and at the top level only", async (t) => {
  const twice = `redis.registerRpcMethod("m", async () => 1); redis.register_rpc_method("m", async () => 2);`;
  await fails(t, load(twice), { code: "LIBRARY_REFUSED", message: /^RPC method m already exists/ });
  const late = await load(syncFunction(`redis.registerRpcMethod("late", async () => 1)`));
  await fails(t, sandbox.call(late, "f"), {
    code: "FUNCTION_FAILED",
    message: "'registerRpcMethod' may only be called while the library is loaded",
  });
});

test("a method gets JSON and bytes, and what it returns crosses as such", async (t) => {
  const echo = await method("return args.length === 1 ? args[0] : args");
  t.is(await sandbox.method(echo, "m", ['{"a":[1,"é"]}', "null"]), '[{"a":[1,"é"]},null]');
  t.is(await sandbox.method(echo, "m", ["7"]), "7");
  t.deepEqual(await sandbox.method(echo, "m", [Buffer.from([0, 255])]), Buffer.from([0, 255]));
  t.is(await sandbox.method(echo, "m"), "[]");
  for (const body of ["", "return undefined", "return () => 1", "return Symbol()"]) {
    t.is(await sandbox.method(await method(body), "m"), "null", body);
  }
});

test("arguments that are no payload or no JSON are the caller's mistake", async (t) => {
  const hash = await method("return args");
  await fails(t, sandbox.method(hash, "m", ["{"]), {
    code: "INVALID_ARGUMENT",
    message: "Failed deserializing RPC method argument",
  });
  const run = { hash, function: "m", kind: "method", args: [new Uint8Array(0)] } as const;
  const context = { deadline: deadlineIn(20_000), signal: NEVER_ABORTED, depth: 0 };
  await fails(t, sandbox.supervisor.run(run, context), {
    code: "INVALID_ARGUMENT",
    message: /payload is neither bytes nor JSON/,
  });
});

test("a method may write, and call remote functions", async (t) => {
  const hash = await method(`
    client.block((c) => c.call("set", "{m}", args[0]));
    return [client.block((c) => c.call("get", "{m}")), await client.runOnKey("k", "r", args[0]), await client.run_on_all_shards("r", 1)];`);
  t.is(await sandbox.method(hash, "m", ['"written"']), '["written",["written","far"],[[[1,"far"]],[]]]');
});

test("a method is no function and no remote function, and the other way round", async (t) => {
  const hash = await method("return 1");
  await fails(t, sandbox.call(hash, "m"), { code: "UNKNOWN_FUNCTION", message: "Unknown function m" });
  await fails(t, sandbox.method(hash, "r"), { code: "UNKNOWN_METHOD", message: "Unknown method r" });
});

test("what a method throws names the line, and a result that is too large is refused", async (t) => {
  // The coordinator makes METHOD_FAILED of it.
  await fails(t, sandbox.method(await method(`throw new TypeError("mine")`), "m"), {
    code: "FUNCTION_FAILED",
    message: "TypeError: mine (lib:3) in m",
  });
  await fails(t, sandbox.method(await method("return 1n"), "m"), {
    code: "FUNCTION_FAILED",
    message: /^Failed serializing result: TypeError/,
  });
  for (const body of [`return "x".repeat(70000)`, `return new ArrayBuffer(70000)`, `return "é".repeat(60000)`]) {
    await fails(t, sandbox.method(await method(body), "m"), {
      code: "RESOURCE_EXHAUSTED",
      message: "the result takes more than 65536 bytes",
    });
  }
});

test("what a library publishes leaves as JSON or bytes, and its promise tells how many it reached", async (t) => {
  const hash = await load(
    asyncFunction(`
  return [
    await client.publish("json:é", { a: "é" }),
    await client.publish("bytes", new Uint8Array([0, 255]).buffer),
    await client.publish("nothing"),
    typeof (await client.publish("number", 7)),
  ]`),
  );
  const reached = BigInt(SUBSCRIBERS);
  t.deepEqual(await sandbox.call(hash, "f"), [reached, reached, reached, "number"]);
  const types = ["json:é", "bytes", "nothing", "number"];
  t.deepEqual(publishedAs(...types), [
    { messageType: "json:é", payload: '{"a":"é"}' },
    { messageType: "bytes", payload: Buffer.from([0, 255]) },
    { messageType: "nothing", payload: "null" },
    { messageType: "number", payload: "7" },
  ]);
});

test("methods, remote functions and background work publish, in the order of their lines", async (t) => {
  const code = `
redis.register_remote_function("r", async (client) => client.publish("order", "remote"));
redis.register_rpc_method("m", async (client) => {
  for (let i = 0; i < 100; i++) client.publish("order", i);
  await client.runOnKey("k", "r");
  return client.block((c) => c.executeAsync((c) => c.publish("order", "background")));
});`;
  t.is(await sandbox.method(await load(code), "m"), String(SUBSCRIBERS));
  const order = publishedAs("order").map(({ payload }) => payload);
  t.deepEqual(order, [...Array.from({ length: 100 }, (_, index) => String(index)), '"remote"', '"background"']);
});

for (const [body, message] of [
  [
    `client.block((c) => c.publish("t", 1))`,
    "'publish' is not for blocks: use the async client, or that of executeAsync",
  ],
  [`await client.publish(7, 1)`, "the message type of 'publish' must be a string"],
  [`await client.publish("t", 1n)`, "Failed serializing message"],
  [`await client.publish("${REFUSED_TYPE}", 1)`, "nobody publishes this"],
] as const) {
  test(`nothing is published: ${body}`, async (t) => {
    await fails(t, sandbox.call(await load(asyncFunction(body)), "f"), { code: "FUNCTION_FAILED", message });
    const caught = asyncFunction(`try { ${body} } catch (error) { return [error instanceof Error, String(error)] }`);
    t.deepEqual(await sandbox.call(await load(caught), "f"), [true, message]);
  });
}

test("a run that has published is not made again elsewhere", async (t) => {
  const moved = `client.block((c) => c.call("eval", "return redis.error_reply('MOVED 1 h:1')", "0"))`;
  await fails(t, sandbox.call(await load(asyncFunction(moved)), "f"), { code: "MOVED", message: "MOVED 1 h:1" });
  const published = await load(asyncFunction(`await client.publish("t", 1); ${moved}`));
  await fails(t, sandbox.call(published, "f"), { code: "FUNCTION_FAILED", message: "MOVED 1 h:1" });
});

test("messages are bounded by size and number, and their client by its function", async (t) => {
  for (const message of [`"x".repeat(65536)`, "new ArrayBuffer(65536)"]) {
    await fails(t, sandbox.call(await load(asyncFunction(`await client.publish("t", ${message})`)), "f"), {
      code: "RESOURCE_EXHAUSTED",
      message: "the message takes more than 65536 bytes",
    });
  }
  const many = "for (let i = 0; i < 2000; i++) client.publish('many', i)";
  await fails(t, sandbox.call(await load(asyncFunction(many)), "f"), {
    code: "RESOURCE_EXHAUSTED",
    message: "one run may wait for 1024 remote calls and messages at most",
  });
  const outlive = await load(`let kept;
redis.register_async_function("keep", async (client) => { kept = client; });
redis.register_async_function("use", async () => kept.publish("t", 1));`);
  await sandbox.call(outlive, "keep");
  await fails(t, sandbox.call(outlive, "use"), {
    code: "FUNCTION_FAILED",
    message: "the client was used after its function ended",
  });
});

test("a library that patches built-ins harms neither its methods nor what it publishes", async (t) => {
  const code = `
    redis.register_rpc_method("m", async (client, arg) => [arg, await client.publish("patched", arg)]);
    JSON.stringify = JSON.parse = () => { throw 1 }; Promise.prototype.then = () => 1; Array.prototype.push = () => 1;
    String.prototype.isWellFormed = () => false; String.prototype.charCodeAt = () => 0;
    redis.register_rpc_method("é", async () => 1);`;
  const hash = await load(code);
  t.is(await sandbox.method(hash, "m", ['{"a":"é"}']), `[{"a":"é"},${SUBSCRIBERS}]`);
  t.deepEqual(publishedAs("patched"), [{ messageType: "patched", payload: '{"a":"é"}' }]);
  t.is(await sandbox.method(hash, "é"), "1");
});
