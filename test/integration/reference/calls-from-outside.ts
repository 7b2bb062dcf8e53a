import { syncFunction } from "../../support/function-code.ts";
import { error, type Row, refused, reply } from "./row.ts";

const nested = (depth: number) => `let value = 1; for (let i = 0; i < ${depth}; i++) value = [value]; return value`;

function nestedArray(depth: number): unknown {
  let value: unknown = 1n;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

const ARGUMENTS: readonly Row[] = [
  {
    name: "arguments are strings",
    code: syncFunction("return args.map((arg) => [typeof arg, arg])"),
    args: ["a", "é", ""],
    expected: reply([
      ["string", "a"],
      ["string", "é"],
      ["string", ""],
    ]),
  },
  {
    name: "an argument that is not UTF-8 cannot be a string",
    code: syncFunction("return args"),
    args: [Buffer.from([255])],
    expected: error("Could not decode value as string"),
  },
  ...[`, ["raw-arguments"]`, ", { flags: [redis.functionFlags.RAW_ARGUMENTS] }"].map(
    (flags): Row => ({
      name: `arguments are ArrayBuffers with ${flags.slice(2)}`,
      code: syncFunction("return args.map((arg) => arg instanceof ArrayBuffer && new Uint8Array(arg).join())", flags),
      args: ["a", Buffer.from([255, 0])],
      expected: reply(["97", "255,0"]),
    }),
  ),
  {
    name: "too few arguments",
    code: `redis.register_function("f", (client, a, b) => 1)`,
    args: ["x"],
    expected: error(
      "Not enough arguments was given, expected at least 2 arguments, got 1 arguments.",
      "INVALID_ARGUMENT",
    ),
  },
  {
    name: "too few arguments of an async function",
    code: `redis.register_async_function("f", async (client, a) => 1)`,
    expected: error(
      "Not enough arguments was given, expected at least 1 arguments, got 0 arguments.",
      "INVALID_ARGUMENT",
    ),
  },
  {
    name: "more arguments than are declared pass",
    code: `redis.register_function("f", (client, a) => a)`,
    args: ["x", "y"],
    expected: reply("x"),
  },
];

const RESULTS: readonly Row[] = [
  ...(
    [
      ["a BigInt is an integer", "7n", 7n],
      ["the largest BigInt of 64 bits is an integer", "2n ** 63n - 1n", 2n ** 63n - 1n],
      ["the smallest BigInt of 64 bits is an integer", "-(2n ** 63n)", -(2n ** 63n)],
      ["a BigInt that leaves int64 is a big number", "2n ** 63n", 2n ** 63n],
      ["a negative BigInt that leaves int64 is a big number", "-(2n ** 70n)", -(2n ** 70n)],
      ["an integral number is an integer", "7", 7n],
      ["an integral number with an exponent is an integer", "1e3", 1000n],
      ["an integral number that leaves int64 is a big number", "1e20", 10n ** 20n],
      ["minus zero is an integer", "-0", 0n],
      ["another number is a double", "0.1", 0.1],
      ["infinity is a double", "-Infinity", Number.NEGATIVE_INFINITY],
      ["NaN is a double", "NaN", Number.NaN],
      ["a string is bulk", `"é"`, "é"],
      ["an ArrayBuffer is bulk", "new Uint8Array([97, 98]).buffer", "ab"],
      ["a boolean is a boolean", "[true, false]", [true, false]],
      ["null is null", "null", null],
      ["undefined is null", "undefined", null],
      ["an Array is an array", `[1, "a", null, undefined]`, [1n, "a", null, null]],
      ["an empty Array is an array", "[]", []],
      ["a Set is a set", `new Set([1, "a"])`, new Set([1n, "a"])],
      ["an object is a map", `({ a: 1, b: { c: 0.5 } })`, { a: 1n, b: { c: 0.5 } }],
      ["an empty object is a map", "({})", {}],
      ["what is within is converted alike", "[2n ** 64n, 1.5, [new Set([true])]]", [2n ** 64n, 1.5, [new Set([true])]]],
    ] as const
  ).flatMap(([name, value, expected]): Row[] => [
    { name: `result: ${name}`, code: syncFunction(`return ${value}`), expected: reply(expected) },
    {
      name: `result of an async function: ${name}`,
      code: `redis.register_async_function("f", async () => ${value})`,
      expected: reply(expected),
    },
  ]),
  {
    name: "result: a reply of Redis keeps its types",
    code: syncFunction(`client.call("del", "z", "h"); client.call("zadd", "z", "1.5", "m"); client.call("hset", "h", "a", "1");
      return [client.call("ping"), client.call("zcard", "z"), client.call("zscore", "z", "m"), client.call("hgetall", "h"), client.callRaw("get", "z2")]`),
    expected: reply(["PONG", 1n, 1.5, { a: "1" }, null]),
  },
  { name: "result: 100 levels of nesting pass", code: syncFunction(nested(100)), expected: reply(nestedArray(100)) },
  { name: "result: 101 levels do not", code: syncFunction(nested(101)), expected: error("nesting level reached") },
  {
    name: "result: one that holds itself does not pass",
    code: syncFunction("const a = {}; a.a = a; return a"),
    expected: error("nesting level reached"),
  },
];

const LOADS: readonly [name: string, code: string, refusal: string][] = [
  [
    "Remote function X already exists",
    `redis.register_remote_function("r", async () => 1); redis.registerClusterFunction("r", async () => 1);`,
    "Remote function r already exists",
  ],
  [
    "Function X already exists",
    `redis.register_function("f", () => 1); redis.registerFunction("f", () => 1);`,
    "Function f already exists",
  ],
  [
    "Function X already exists, async",
    `redis.register_function("f", () => 1); redis.registerAsyncFunction("f", async () => 1);`,
    "Function f already exists",
  ],
  ["Wrong number of arguments given, none", "redis.register_function()", "Wrong number of arguments given"],
  ["Wrong number of arguments given, one", `redis.registerAsyncFunction("f")`, "Wrong number of arguments given"],
  [
    "Wrong number of arguments given, too many",
    `redis.register_remote_function("r", async () => 1, {}, 1)`,
    "Wrong number of arguments given",
  ],
  ["Value is not string, the name", "redis.register_function(5, () => 1)", "Value is not string"],
  ["Value is not string, a flag", `redis.register_function("f", () => 1, [5])`, "Value is not string"],
  [
    "Value is not string, the description",
    `redis.registerFunction("f", () => 1, { description: 5 })`,
    "Value is not string",
  ],
  ...[
    "register_function",
    "registerFunction",
    "register_async_function",
    "registerAsyncFunction",
    "register_remote_function",
    "registerClusterFunction",
  ].map((spelling): [string, string, string] => [
    `Second argument to '${spelling}' must be a function`,
    `redis.${spelling}("f", 5)`,
    `Second argument to '${spelling}' must be a function`,
  ]),
  ["Unallowed function name 'x'", `redis.register_function("x!", () => 1)`, "Unallowed function name 'x!'"],
  [
    "Unallowed cluster function name 'x'",
    `redis.register_remote_function("x!", async () => 1)`,
    "Unallowed cluster function name 'x!'",
  ],
  ["an unknown flag", `redis.register_function("f", () => 1, ["fast"])`, "Unknown flag 'fast' was given"],
];

const LOAD_ERRORS: readonly Row[] = [
  ...LOADS.map(
    ([name, code, refusal]): Row => ({ name: `load error: ${name}`, code, expected: refused(`${refusal} (lib:2)`) }),
  ),
  {
    name: "load error: Neither function nor other registrations were found.",
    code: "",
    expected: refused("Neither function nor other registrations were found."),
  },
  {
    name: "a function and a remote function may have one name",
    code: `redis.register_remote_function("f", async () => "remote");
      redis.register_async_function("f", async (client) => client.run_on_key("k", "f"));`,
    expected: reply("remote"),
  },
];

export const CALLS_FROM_OUTSIDE: readonly Row[] = [...ARGUMENTS, ...RESULTS, ...LOAD_ERRORS];
