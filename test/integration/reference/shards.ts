import { asyncFunction, syncFunction } from "../../support/function-code.ts";
import { error, type Row, reply } from "./row.ts";

/**
 * Rows for a cluster of two shards. redis.config.keys holds a key of each; the function that is called runs on the first. In texts
 * that come back, `<0>` and `<1>` stand for the addresses of the shards' Redis.
 */
const HERE = "redis.config.keys[0]";
const THERE = "redis.config.keys[1]";

/** `shard(client)`: the number of the shard that runs this, which is the one that answers for its key. */
const SHARD = `const shard = (client) => client.block((c) => redis.config.keys.findIndex((key) => {
  try { c.call("get", key); return true } catch { return false }
}));`;

const MOVED: readonly Row[] = [
  ...["call", "callRaw"].map(
    (method): Row => ({
      name: `${method}: a key that this shard does not own throws the MOVED error`,
      code: syncFunction(`client.${method}("get", ${THERE})`),
      expected: error(/^MOVED \d+ <1>$/, "MOVED"),
    }),
  ),
  {
    name: "call: the MOVED error can be caught, and is never followed silently",
    code: `redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
      redis.register_async_function("f", async (client) => {
        let caught = "";
        try { client.block((c) => c.call("set", ${THERE}, "written")) } catch (e) { caught = String(e).split(" ")[0] }
        return [caught, await client.run_on_key(${THERE}, "get", ${THERE})];
      });`,
    expected: reply(["MOVED", null]),
  },
];

/** What a remote function fails with, and how: its body, and the argument that it is called with as `value`. */
const FAILURES = [
  ["undefined as an argument", "return 1", "undefined", "Failed deserializing remote function argument"],
  ["undefined as a result", "return undefined", "1", "Failed deserializing remote function result"],
  ["a BigInt as an argument", "return 1", "1n", "Failed serializing arguments"],
  [
    "a BigInt as a result",
    "return 1n",
    "1",
    "Failed serializing result: TypeError: Do not know how to serialize a BigInt",
  ],
  ["an error", `throw new Error("no")`, "1", "Error: no (lib:2) in r"],
  [
    "a write",
    `client.block((c) => c.call("set", "a", "b"))`,
    "1",
    "Write command 'set' was called while write is not allowed",
  ],
  ["no end", "await new Promise(() => undefined)", "1", "Remote task timeout"],
] as const;

const ON_KEY: readonly Row[] = [HERE, THERE].flatMap((key, number): Row[] => [
  {
    name: `runOnKey: it runs on the shard that owns ${key}`,
    code: `${SHARD}
      redis.register_remote_function("which", async (client) => shard(client));
      redis.register_async_function("f", async (client) => client.run_on_key(${key}, "which"));`,
    expected: reply(BigInt(number)),
  },
  {
    name: `runOnKey to ${key}: JSON and ArrayBuffers, as between any two shards`,
    code: `redis.register_remote_function("kind", async (client, bytes, value) =>
        [bytes instanceof ArrayBuffer, new Uint8Array(bytes).join(), JSON.stringify(value)]);
      redis.register_remote_function("echo", async (client, bytes) => bytes);
      redis.register_async_function("f", async (client) => {
        const bytes = new Uint8Array([0, 255, 10]).buffer;
        const back = await client.run_on_key(${key}, "echo", bytes);
        return [...(await client.run_on_key(${key}, "kind", bytes, { a: [NaN, new Map(), "é"] })), new Uint8Array(back).join()];
      });`,
    expected: reply([true, "0,255,10", `{"a":[null,{},"é"]}`, "0,255,10"]),
  },
  ...FAILURES.map(
    ([what, body, given, text]): Row => ({
      name: `runOnKey to ${key} rejects with the text: ${what}`,
      code: `redis.register_remote_function("r", async (client, value) => { ${body} });
        ${asyncFunction(`try { await client.run_on_key(${key}, "r", ${given}) } catch (e) { return String(e) }`)}`,
      expected: reply(text),
    }),
  ),
  {
    name: `runOnKey to ${key}: a remote function that is not there`,
    code: asyncFunction(`await client.run_on_key(${key}, "absent")`),
    expected: error("Remote function absent does not exists on library lib"),
  },
]);

/** `f` returns what runOnShards gives, where each shard runs this body; it sees its number as `here`. */
function onShards(name: string, body: string, results: readonly unknown[], errors: readonly string[]): Row {
  const code = `redis.register_remote_function("r", async (client, value) => { const here = shard(client); ${body} });
${SHARD}
redis.register_remote_function("noop", async () => 1);
redis.register_async_function("f", async (client) => client.run_on_all_shards("r", "x"));`;
  return { name: `runOnShards: ${name}`, code, expected: reply([results, errors]) };
}

const ON_SHARDS: readonly Row[] = [
  onShards(
    "over all masters, and no replica, in shard order",
    "return [here, value]",
    [
      [0n, "x"],
      [1n, "x"],
    ],
    [],
  ),
  onShards(
    "the one that takes longer does not change the order",
    `if (here === 0) for (let i = 0; i < 20; i++) await client.run_on_key(${THERE}, "noop"); return here`,
    [0n, 1n],
    [],
  ),
  ...[0, 1].flatMap((guilty) => [
    onShards(
      `an error of shard ${guilty} names it, and the other's result is kept`,
      `if (here === ${guilty}) throw new Error("no"); return here`,
      [BigInt(1 - guilty)],
      [`shard <${guilty}>: Error: no (lib:2) in r`],
    ),
    onShards(
      `shard ${guilty} does not answer in time: "Timeout", and the other's result is kept`,
      `if (here === ${guilty}) await new Promise(() => undefined); return here`,
      [BigInt(1 - guilty)],
      [`shard <${guilty}>: Timeout`],
    ),
    onShards(
      `what shard ${guilty} returns cannot be serialized`,
      `return here === ${guilty} ? 1n : here`,
      [BigInt(1 - guilty)],
      [`shard <${guilty}>: Failed serializing result: TypeError: Do not know how to serialize a BigInt`],
    ),
  ]),
  onShards("it never rejects, not even where all fail", `throw here`, [], ["shard <0>: 0", "shard <1>: 1"]),
  onShards(
    "a write is refused on each",
    `client.block((c) => c.call("del", redis.config.keys[here]))`,
    [],
    [0, 1].map((shard) => `shard <${shard}>: Write command 'del' was called while write is not allowed`),
  ),
  {
    name: "runOnShards: a remote function that is not there",
    code: asyncFunction(`return client.run_on_all_shards("absent")`),
    expected: reply([
      [],
      [0, 1].map((shard) => `shard <${shard}>: Remote function absent does not exists on library lib`),
    ]),
  },
];

/** What the rows' cluster has for `remote-task-default-timeout`: more than the default of 500 ms, which a busy machine needs for what succeeds. */
export const REMOTE_TIMEOUT_MS = 2000;

/** How long `f` waits for a remote function that never ends, and what it gets: `call` makes the remote call. */
function waits(name: string, call: string, [atLeastMs, belowMs]: readonly [number, number], text: unknown): Row {
  const code = `redis.register_remote_function("never", async () => new Promise(() => undefined));
    redis.register_async_function("f", async (client) => {
      const startedAt = Date.now();
      const outcome = await ${call}.catch((thrown) => thrown);
      const ms = Date.now() - startedAt;
      return [outcome, ms >= ${atLeastMs} && ms < ${belowMs} ? "in time" : ms];
    });`;
  return { name: `timeout: ${name}`, code, expected: reply([text, "in time"]) };
}

const OWN_TIMEOUTS: readonly Row[] = [
  ...[HERE, THERE].flatMap((key) => [
    waits(
      `remote-task-default-timeout, on ${key}`,
      `client.runOnKey(${key}, "never")`,
      [REMOTE_TIMEOUT_MS - 10, 9000],
      "Remote task timeout",
    ),
    waits(
      `a call's own, which may be shorter, on ${key}`,
      `client.runOnKey(${key}, { function: "never", timeoutMs: 50 })`,
      [45, REMOTE_TIMEOUT_MS - 100],
      "Remote task timeout",
    ),
    waits(
      `a call's own, which may be longer, on ${key}`,
      `client.runOnKey(${key}, { function: "never", timeoutMs: 3000 })`,
      [2990, 9000],
      "Remote task timeout",
    ),
  ]),
  waits(
    "a call's own on all shards",
    `client.runOnShards({ function: "never", timeoutMs: 50 })`,
    [45, REMOTE_TIMEOUT_MS - 100],
    [[], ["shard <0>: Timeout", "shard <1>: Timeout"]],
  ),
  {
    name: "timeout: what is left of a call's own bounds the calls within it, whatever they ask for",
    code: `redis.register_remote_function("never", async () => new Promise(() => undefined));
      redis.register_remote_function("nested", async (client) => client.runOnKey(${HERE}, { function: "never", timeoutMs: 60000 }));
      redis.register_async_function("f", async (client) => {
        const startedAt = Date.now();
        const caught = await client.runOnKey(${THERE}, { function: "nested", timeoutMs: 100 }).catch(String);
        return [caught, Date.now() - startedAt < ${REMOTE_TIMEOUT_MS - 100}];
      });`,
    expected: reply(["Remote task timeout", true]),
  },
];

const TIMEOUTS: readonly Row[] = [
  {
    name: "timeout: what is left of it travels with nested calls, so that all end with the first",
    code: `redis.register_remote_function("never", async () => new Promise(() => undefined));
      redis.register_remote_function("nested", async (client) => client.run_on_key(${HERE}, "never"));
      redis.register_async_function("f", async (client) => {
        const startedAt = Date.now();
        let caught = "";
        try { await client.run_on_key(${THERE}, "nested") } catch (e) { caught = e }
        const ms = Date.now() - startedAt;
        return [caught, ms >= ${REMOTE_TIMEOUT_MS - 10} && ms < 9000];
      });`,
    expected: reply(["Remote task timeout", true]),
  },
  ...[HERE, THERE].map(
    (key): Row => ({
      name: `timeout: it cancels what runs on the shard of ${key}`,
      code: `let runs = 0;
        redis.register_remote_function("noop", async () => 1);
        redis.register_remote_function("count", async () => runs);
        redis.register_remote_function("forever", async (client) => { for (;;) { runs++; await client.run_on_key(${key}, "noop") } });
        redis.register_async_function("f", async (client) => {
          try { await client.run_on_key(${key}, "forever") } catch {}
          const after = await client.run_on_key(${key}, "count");
          for (let i = 0; i < 20; i++) await client.run_on_key(${key}, "noop");
          return [after > 1, (await client.run_on_key(${key}, "count")) - after < 2];
        });`,
      expected: reply([true, true]),
    }),
  ),
];

export const SHARDS: readonly Row[] = [...MOVED, ...ON_KEY, ...ON_SHARDS, ...OWN_TIMEOUTS, ...TIMEOUTS];
