import { asyncFunction, syncFunction } from "../../support/function-code.ts";
import { error, type Row, refused, reply } from "./row.ts";

const NO_ARGUMENT = "Failed deserializing remote function argument";
const NO_RESULT = "Failed deserializing remote function result";

const ECHO = `
  redis.register_remote_function("echo", async (client, value) => value);
  redis.register_remote_function("kind", async (client, value) =>
    value instanceof ArrayBuffer ? "ArrayBuffer " + new Uint8Array(value) : JSON.stringify(value));`;

/** A row whose function `f` has a remote function `r` with this body, and calls it. */
function remote(name: string, body: string, expected: Row["expected"], args = ""): Row {
  const code = `
    redis.register_remote_function("r", async (client, value) => { ${body} });
    redis.register_async_function("f", async (client) => client.run_on_key("k", "r"${args}));`;
  return { name, code, expected };
}

const REGISTERING: readonly Row[] = [
  ...["register_remote_function", "registerClusterFunction"].flatMap((spelling) =>
    ["() => 1", "function () {}", "async function* () {}"].map(
      (given): Row => ({
        name: `${spelling}: only async functions can be remote, ${given} cannot`,
        code: `redis.${spelling}("r", ${given})`,
        expected: refused("Remote function must be async (lib:2)"),
      }),
    ),
  ),
  {
    name: "a library may hold remote functions alone",
    code: `redis.register_remote_function("r", async () => 1)`,
    call: "r",
    expected: error("Unknown function r", "UNKNOWN_FUNCTION"),
  },
];

const SERIALIZING: readonly Row[] = [
  {
    name: "a top-level ArrayBuffer travels as it is, there and back",
    code: `${ECHO}
      redis.register_async_function("f", async (client) => {
        const bytes = new Uint8Array([0, 255, 10]).buffer;
        const back = await client.run_on_key("k", "echo", bytes);
        return [await client.run_on_key("k", "kind", bytes), back instanceof ArrayBuffer, new Uint8Array(back).join(), back !== bytes];
      });`,
    expected: reply(["ArrayBuffer 0,255,10", true, "0,255,10", true]),
  },
  ...[
    ["a string", `"é"`, `"é"`],
    ["a string that looks like JSON", `"[1]"`, `"[1]"`],
    ["a number", "2.5", "2.5"],
    ["NaN, as null", "NaN", "null"],
    ["null", "null", "null"],
    ["a boolean", "true", "true"],
    ["an array and what is in it", "[1, [null, undefined]]", "[1,[null,null]]"],
    ["an object without what JSON leaves out", "{ a: { b: 1 }, c: undefined, d() {} }", `{"a":{"b":1}}`],
    ["a Date, as toJSON says", "new Date(0)", `"1970-01-01T00:00:00.000Z"`],
    ["a Map, as {}", "new Map([[1, 2]])", "{}"],
    ["a Set, as {}", "new Set([1])", "{}"],
    ["an ArrayBuffer within, as {}", "[new ArrayBuffer(1)]", "[{}]"],
  ].map(
    ([what, given, arrives]): Row => ({
      name: `an argument and a result are JSON, also for this very shard: ${what}`,
      code: `${ECHO}
        redis.register_async_function("f", async (client) =>
          [await client.run_on_key("k", "kind", ${given}), JSON.stringify(await client.run_on_key("k", "echo", ${given}))]);`,
      expected: reply([arrives, arrives]),
    }),
  ),
  {
    name: "a remote function gets a copy, also on this very shard",
    code: `${ECHO}
      redis.register_async_function("f", async (client) => { const a = {}; return await client.run_on_key("k", "echo", a) === a });`,
    expected: reply(false),
  },
  ...["1n", "[1n]", "(() => { const a = {}; a.a = a; return a })()", "{ toJSON() { throw 1 } }"].flatMap(
    (given): Row[] => [
      {
        name: `runOnKey: ${given} cannot be an argument`,
        code: ECHO + asyncFunction(`await client.run_on_key("k", "echo", ${given})`),
        expected: error("Failed serializing arguments"),
      },
      {
        name: `runOnShards: ${given} cannot be an argument`,
        code: ECHO + asyncFunction(`await client.run_on_all_shards("echo", ${given})`),
        expected: error("Failed serializing arguments"),
      },
    ],
  ),
  remote(
    "a BigInt cannot be a result",
    "return 1n",
    error("Failed serializing result: TypeError: Do not know how to serialize a BigInt"),
  ),
  remote(
    "a result that refers to itself is refused with the JS error",
    "const a = {}; a.a = a; return a",
    error(/^Failed serializing result: TypeError: Converting circular structure to JSON/),
  ),
  ...["undefined", "() => 1", "Symbol()"].flatMap((given) => [
    remote(`${given} cannot be an argument`, "return 1", error(NO_ARGUMENT), `, ${given}`),
    remote(`${given} cannot be a result`, `return ${given}`, error(NO_RESULT)),
  ]),
  {
    name: "runOnShards: what cannot be read is an error of its shard",
    code: `redis.register_remote_function("r", async () => undefined);
      redis.register_async_function("f", async (client) => client.run_on_all_shards("r"));`,
    expected: reply([[], [NO_RESULT]]),
  },
];

const ERRORS: readonly Row[] = [
  {
    name: "runOnKey rejects with the error as text, in which a library may look for words",
    code: `redis.register_remote_function("r", async () => { throw new Error("no") });
redis.register_remote_function("nothing", async () => undefined);
redis.register_async_function("f", async (client) => {
  const caught = [];
  for (const name of ["r", "nothing", "absent"]) try { await client.run_on_key("k", name) } catch (e) { caught.push(typeof e, e) }
  return caught;
});`,
    expected: reply([
      "string",
      "Error: no (lib:2) in r",
      "string",
      NO_RESULT,
      "string",
      "Remote function absent does not exists on library lib",
    ]),
  },
  {
    name: "runOnKey: what is not caught is the function's error",
    code: `redis.register_remote_function("r", async () => { throw "mine" });
      redis.register_async_function("f", (client) => client.run_on_key("k", "r"));`,
    expected: error("mine"),
  },
  {
    name: "an unknown remote function",
    code: asyncFunction(`await client.run_on_key("k", "absent")`),
    expected: error("Remote function absent does not exists on library lib"),
  },
  {
    name: "a function that is not remote cannot be called as one",
    code: `${syncFunction("return 1")}redis.register_async_function("g", async (client) => client.run_on_key("k", "f"));`,
    call: "g",
    expected: error("Remote function f does not exists on library lib"),
  },
  {
    name: "runOnKey: a key is a string, an ArrayBuffer, or what is written as text",
    code:
      ECHO +
      asyncFunction(`const bytes = new Uint8Array([255]).buffer;
        return [await client.run_on_key("é", "echo", 1), await client.run_on_key(bytes, "echo", 2), await client.run_on_key(7, "echo", 3)]`),
    expected: reply([1n, 2n, 3n]),
  },
  {
    name: "runOnKey: nothing else can be a key",
    code: ECHO + asyncFunction(`await client.run_on_key({}, "echo")`),
    expected: error("Can not convert value into bytes buffer"),
  },
];

const NO_TIMEOUT = "the timeoutMs of a remote call must be a whole number of milliseconds, 1 or more";

/** What may be given in place of the remote function's name; that a timeout is kept, the rows of a cluster hold. */
const TARGETS: readonly Row[] = [
  ...["runOnKey", "run_on_key"].map(
    (spelling): Row => ({
      name: `${spelling}: { function, timeoutMs } in place of the name, and the arguments as ever`,
      code:
        ECHO +
        asyncFunction(`return [await client.${spelling}("k", { function: "echo", timeoutMs: 5000 }, { timeoutMs: 1 }),
          await client.${spelling}("k", { function: "echo" }, 2)]`),
      expected: reply([{ timeoutMs: 1n }, 2n]),
    }),
  ),
  ...["runOnShards", "run_on_all_shards"].map(
    (spelling): Row => ({
      name: `${spelling}: { function, timeoutMs } in place of the name, and the arguments as ever`,
      code: ECHO + asyncFunction(`return client.${spelling}({ function: "echo", timeoutMs: 5000 }, 2)`),
      expected: reply([[2n], []]),
    }),
  ),
  ...["0.5", "-1", "NaN", "Infinity", `"5"`, "5n", "null"].map(
    (timeoutMs): Row => ({
      name: `runOnKey: ${timeoutMs} cannot be a timeout`,
      code: ECHO + asyncFunction(`await client.runOnKey("k", { function: "echo", timeoutMs: ${timeoutMs} }, 1)`),
      expected: error(NO_TIMEOUT),
    }),
  ),
  ...["5", "undefined", "null", "{}", `["echo"]`, `{ name: "echo" }`].map(
    (target): Row => ({
      name: `runOnShards: ${target} cannot be a remote function's name`,
      code: ECHO + asyncFunction(`await client.runOnShards(${target}, 1)`),
      expected: error("the name of a remote function must be a string"),
    }),
  ),
];

const blockCall = (args: string) => `return client.block((c) => c.call(${args}))`;

/** By what the server's COMMAND table says: flags, and for containers those of the subcommand. */
const WRITES = [
  ["set", `"set", "a", "b"`],
  ["set", `"SET", "a", "b"`],
  ["getdel", `"getdel", "a"`],
  ["getex", `"getex", "a"`],
  ["sort", `"sort", "a", "store", "b"`],
  ["eval", `"eval", "return 1", 0`],
  ["evalsha", `"evalsha", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", 0`],
  ["fcall", `"fcall", "f", 0`],
  ["bitfield", `"bitfield", "a", "get", "u8", 0`],
  ["georadius", `"georadius", "a", 0, 0, 1, "m"`],
  ["xgroup|create", `"xgroup", "create", "a", "g", 0`],
  ["migrate", `"migrate", "127.0.0.1", 1, "a", 0, 1`],
  ["flushall", `"flushall"`],
  ["swapdb", `"swapdb", 0, 1`],
  ["restore", `"restore", "a", 0, "x"`],
] as const;

const ADMIN = [
  ["config|get", `"config", "get", "*"`],
  ["config|set", `"config", "set", "maxmemory", 1`],
  ["shutdown", `"shutdown"`],
  ["debug", `"debug", "sleep", 0`],
  ["replicaof", `"replicaof", "no", "one"`],
  ["acl|list", `"acl", "list"`],
  ["slowlog|reset", `"slowlog", "reset"`],
  ["bgsave", `"bgsave"`],
  ["client|kill", `"client", "kill", "id", 1`],
  ["role", `"role"`],
  ["keys", `"keys", "*"`],
  ["info", `"info"`],
  ["lastsave", `"lastsave"`],
] as const;

/** Dangerous ones that write: a remote function hears of the write, any other function of the danger. */
const DANGEROUS_WRITES = ["flushall", "swapdb", "restore", "migrate"];

const READ_ONLY: readonly Row[] = [
  ...WRITES.map(([name, args]) =>
    remote(
      `remote functions only read: ${args}`,
      blockCall(args),
      error(`Write command '${name}' was called while write is not allowed`),
    ),
  ),
  ...ADMIN.map(([name, args]) =>
    remote(
      `remote functions call nothing that is admin or dangerous: ${args}`,
      blockCall(args),
      error(new RegExp(`^Command '${name.replace("|", "\\|")}' is not allowed in functions; `)),
    ),
  ),
  ...[...ADMIN, ...WRITES.filter(([name]) => DANGEROUS_WRITES.includes(name))].map(
    ([name, args]): Row => ({
      name: `no function calls what is admin or dangerous: ${args}`,
      code: syncFunction(`client.call(${args})`),
      expected: error(
        new RegExp(
          `^Command '${name.replace("|", "\\|")}' is not allowed in functions; .*The operator can allow it by name$`,
        ),
      ),
    }),
  ),
  {
    name: "a function that may write sorts, and stores what it sorted",
    code: syncFunction(`client.call("del", "s", "d"); client.call("rpush", "s", 2, 1);
      return [client.call("sort", "s"), client.call("sort_ro", "s"), client.call("sort", "s", "store", "d")]`),
    expected: reply([["1", "2"], ["1", "2"], 2n]),
  },
  remote("remote functions read: get", blockCall(`"get", "none"`), reply(null)),
  remote("remote functions read: eval_ro passes", blockCall(`"eval_ro", "return 'x'", 0`), reply("x")),
  remote(
    "remote functions read: eval_ro cannot write, by Redis' own word",
    blockCall(`"eval_ro", "return redis.call('set', 'a', 'b')", 0`),
    error(/Write commands are not allowed from read-only scripts/),
  ),
  remote("remote functions read: fcall_ro passes", blockCall(`"fcall_ro", "f", 0`), error(/Function not found/)),
  remote("remote functions read: sort_ro passes", blockCall(`"sort_ro", "none"`), reply([])),
  remote(
    "remote functions read: bitfield_ro passes",
    `return client.block((c) => c.call("bitfield_ro", "none", "get", "u8", 0)).map(String)`,
    reply(["0"]),
  ),
  remote("remote functions read: georadius_ro passes", blockCall(`"georadius_ro", "none", 0, 0, 1, "m"`), reply([])),
];

export const REMOTE_CALLS: readonly Row[] = [...REGISTERING, ...SERIALIZING, ...ERRORS, ...TARGETS, ...READ_ONLY];
