import test, { type ExecutionContext } from "ava";
import { NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import { decodePayload, type Payload } from "../../src/base/payload.ts";
import { eventually } from "../support/eventually.ts";
import { asyncFunction, syncFunction } from "../support/function-code.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";

let sandbox: LocalSandbox;

test.before(async () => {
  sandbox = await startSandbox({ runTimeoutMs: 10_000, lockRedisTimeoutMs: 5000 });
});

test.after.always(() => sandbox[Symbol.asyncDispose]());

function load(code: string): Promise<string> {
  return sandbox.load(`#!js name=lib\n${code}`);
}

/** Works a task `t` with this body once. */
async function work(body: string) {
  const hash = await load(`redis.register_task("t", async (client) => { ${body} });`);
  const told: Payload[] = [];
  const run = {
    hash,
    function: "t",
    kind: "task",
    args: [],
    progressed: (progress: Uint8Array) => told.push(decodePayload(progress)),
  } as const;
  const result = sandbox.supervisor.run(run, { deadline: deadlineIn(20_000), signal: NEVER_ABORTED, depth: 0 });
  return { told, result: result.then(decodePayload) };
}

async function fails(
  t: ExecutionContext,
  run: Promise<unknown>,
  { code, message }: { readonly code: FaultCode; readonly message: string },
): Promise<void> {
  const fault = await t.throwsAsync(run, { instanceOf: Fault });
  t.is(fault?.code, code, fault?.message);
  t.is(fault?.message, message);
}

for (const [value, payload] of [
  ["0.5", "0.5"],
  ["null", "null"],
  ['"é"', '"é"'],
  ["{ done: [1, 2], of: { all: true } }", '{"done":[1,2],"of":{"all":true}}'],
  ["new Uint8Array([0, 255]).buffer", Buffer.from([0, 255])],
] as const) {
  test(`progress leaves as JSON or bytes, before the result: ${value}`, async (t) => {
    const { told, result } = await work(`return [typeof client.progress(${value})]`);
    t.is(await result, '["undefined"]');
    t.deepEqual(told, [payload]);
  });
}

test("blocks and background work of a task tell its progress", async (t) => {
  const { told, result } = await work(`client.block((c) => c.progress("block"));`);
  await result;
  t.deepEqual(told, ['"block"']);
  const background = await work(`await client.block((c) => c.executeAsync(async (c) => c.progress("background")));`);
  await background.result;
  t.deepEqual(background.told, ['"background"']);
});

test("of a flood the first is told and the newest, and the last one of a task that fails, too", async (t) => {
  const flood = await work(`for (let i = 1; i <= 100000; i++) client.progress(i);`);
  await flood.result;
  t.deepEqual(flood.told, ["1", "100000"]);
  const failing = await work(`for (let i = 1; i <= 1000; i++) client.progress(i); throw "no luck";`);
  await fails(t, failing.result, { code: "FUNCTION_FAILED", message: "no luck" });
  t.deepEqual(failing.told, ["1", "1000"]);
});

test("what background work tells after its task has ended is dropped", async (t) => {
  const { told, result } = await work(`
    client.block((c) => c.executeAsync(async (c) => {
      for (let i = 0; i < 3; i++) await c.runOnKey("k", "none").catch(() => undefined);
      c.progress("late");
      redis.log("told late");
    }));
    client.progress("in time");`);
  await result;
  await eventually(() => sandbox.logged.includes("lib: told late"), { what: "the end of the background work" });
  t.deepEqual(told, ['"in time"']);
});

for (const [value, message] of [
  ["", "JSON cannot say a progress of the type 'undefined': give one that it can, such as a number or null"],
  ["() => 1", "JSON cannot say a progress of the type 'function': give one that it can, such as a number or null"],
  [
    "1n",
    "Failed serializing progress: TypeError: Do not know how to serialize a BigInt; give what JSON can say, such as a number",
  ],
] as const) {
  test(`no progress: ${value || "nothing"}`, async (t) => {
    const { told, result } = await work(`client.progress(${value})`);
    await fails(t, result, { code: "FUNCTION_FAILED", message });
    t.deepEqual(told, []);
    const caught = await work(`try { client.progress(${value}) } catch (error) { return String(error) }`);
    t.is(await caught.result, JSON.stringify(message));
  });
}

test("progress is bounded by size", async (t) => {
  for (const value of [`"x".repeat(65536)`, "new ArrayBuffer(65537)", `["x".repeat(65536)]`]) {
    const { told, result } = await work(`client.progress(${value})`);
    await fails(t, result, {
      code: "RESOURCE_EXHAUSTED",
      message: "the progress takes more than 65536 bytes (maxResultBytes): tell less of it, such as a number",
    });
    t.deepEqual(told, []);
  }
  const tampered = await work(`
    const buffer = new ArrayBuffer(1 << 20);
    Object.defineProperty(buffer, "byteLength", { value: 1 });
    client.progress(buffer);`);
  await tampered.result;
  t.deepEqual(tampered.told, []);
});

const NO_TASK = {
  code: "FUNCTION_FAILED",
  message: "'progress' is for a task's own function, as register_task has it: this one works no task",
} as const;

test("only a task has progress: functions, remote functions, RPC methods and middleware have none", async (t) => {
  await fails(t, sandbox.call(await load(syncFunction("client.progress(1)")), "f"), NO_TASK);
  await fails(t, sandbox.call(await load(asyncFunction("client.progress(1)")), "f"), NO_TASK);
  const method = await load('redis.register_rpc_method("m", async (client) => client.progress(1));');
  await fails(t, sandbox.method(method, "m"), NO_TASK);
  const hash = await load(`
    redis.register_task_middleware("before_work", async (client) => client.progress(1));
    redis.register_remote_function("r", async (client) => client.progress(1));
    redis.register_async_function("f", async (client) => client.runOnKey("k", "r"));`);
  await fails(t, sandbox.call(hash, "f"), NO_TASK);
  const run = { hash, function: "before_work", kind: "middleware", args: [] } as const;
  const context = { deadline: deadlineIn(20_000), signal: NEVER_ABORTED, depth: 0 };
  await fails(t, sandbox.supervisor.run(run, context), NO_TASK);
});

test("a client that was kept tells nothing any more", async (t) => {
  const hash = await load(`let kept, block;
    redis.register_task("t", async (client) => { kept = client; client.block((c) => { block = c; }); });
    redis.register_async_function("use", async () => kept.progress(1));
    redis.register_async_function("block", async () => block.progress(1));`);
  const run = { hash, function: "t", kind: "task", args: [] } as const;
  await sandbox.supervisor.run(run, { deadline: deadlineIn(20_000), signal: NEVER_ABORTED, depth: 0 });
  const code = "FUNCTION_FAILED";
  await fails(t, sandbox.call(hash, "use"), { code, message: "the client was used after its function ended" });
  await fails(t, sandbox.call(hash, "block"), { code, message: "the client was used after its block ended" });
});

test("a library that patches built-ins does not harm its progress", async (t) => {
  const { told, result } = await work(`
    const stringify = JSON.stringify;
    JSON.stringify = () => { throw 1 }; Array.prototype.push = () => 1;
    client.progress({ a: "é" });
    JSON.stringify = stringify;`);
  await result;
  t.deepEqual(told, ['{"a":"é"}']);
});
