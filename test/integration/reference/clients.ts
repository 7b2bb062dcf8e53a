import { asyncFunction, syncFunction } from "../../support/function-code.ts";
import { error, type Row, reply } from "./row.ts";

const NOT_BYTES = "Can not convert value into bytes buffer";

const BLOCKS: readonly Row[] = [
  {
    name: "async client: block, runOnKey and runOnShards, and no call",
    code: asyncFunction(
      `return ["block", "runOnKey", "runOnShards", "call", "callRaw"].map((name) => typeof client[name])`,
    ),
    expected: reply(["function", "function", "function", "undefined", "undefined"]),
  },
  {
    name: "async client: a remote function's is the same",
    code: `redis.register_remote_function("r", async (client) =>
        ["block", "runOnKey", "runOnShards", "call"].map((name) => typeof client[name]));
      redis.register_async_function("f", async (client) => client.runOnKey("k", "r"));`,
    expected: reply(["function", "function", "function", "undefined"]),
  },
  {
    name: "async client: who calls call on it gets the error of JavaScript, with its place",
    code: asyncFunction(`client.call("ping")`),
    expected: error("TypeError: client.call is not a function (lib:2) in f"),
  },
  {
    name: "block: its client has call and callRaw",
    code: asyncFunction(`return client.block((c) => [typeof c.call, typeof c.callRaw])`),
    expected: reply(["function", "function"]),
  },
  {
    name: "block: returns what fn returns, at once",
    code: asyncFunction("return client.block(() => 7) + 1"),
    expected: reply(8n),
  },
  {
    name: "block: a promise is returned as it is, and awaited by the caller",
    code: asyncFunction(`const given = client.block(async () => 7); return [given instanceof Promise, await given]`),
    expected: reply([true, 7n]),
  },
  {
    name: "block: what fn throws is thrown",
    code: asyncFunction(`try { client.block(() => { throw "mine" }) } catch (e) { return [e, client.block(() => 1)] }`),
    expected: reply(["mine", 1n]),
  },
  {
    name: "block: nested, it throws",
    code: asyncFunction("client.block(() => client.block(() => 1))"),
    expected: error("a block cannot be opened within a block"),
  },
  {
    name: "block: a client used after its block ended throws",
    code: asyncFunction(`let kept; client.block((c) => { kept = c }); kept.call("ping")`),
    expected: error("the client was used after its block ended"),
  },
  {
    name: "block: a client used in a later block throws",
    code: asyncFunction(`let kept; client.block((c) => { kept = c }); client.block(() => kept.callRaw("ping"))`),
    expected: error("the client was used after its block ended"),
  },
  {
    name: "block: it has ended where fn awaits",
    code: asyncFunction(`await client.block(async (c) => { await null; c.call("ping") })`),
    expected: error("the client was used after its block ended"),
  },
  {
    name: "block: anything but a function is refused",
    code: asyncFunction("client.block(5)"),
    expected: error("the argument of 'block' must be a function"),
  },
];

const ARGUMENTS: readonly Row[] = [
  {
    name: "call: it is synchronous",
    code: syncFunction(`return [client.call("set", "k", "v"), client.call("get", "k")]`),
    expected: reply(["OK", "v"]),
  },
  {
    name: "call: strings, as UTF-8",
    code: syncFunction(`client.call("set", "k", "é😀"); return [client.call("strlen", "k"), client.call("get", "k")]`),
    expected: reply([6n, "é😀"]),
  },
  {
    name: "call: ArrayBuffers, as they are",
    code: syncFunction(`client.call("set", "k", new Uint8Array([0, 255, 13, 10]).buffer);
      return [...new Uint8Array(client.callRaw("get", "k"))]`),
    expected: reply([0n, 255n, 13n, 10n]),
  },
  ...[
    ["an integral number", "12", "12"],
    ["a number with a fraction", "0.1", "0.1"],
    ["a bigint", "123456789012345678901234567890n", "123456789012345678901234567890"],
    ["a boolean", "true", "true"],
  ].map(
    ([what, given, written]): Row => ({
      name: `call: ${what} is written as text`,
      code: syncFunction(`return client.call("echo", ${given})`),
      expected: reply(written),
    }),
  ),
  ...["undefined", "null", "{}", "[]", "() => 1", "Symbol()", "new Uint8Array(1)", "new String('x')"].flatMap(
    (given): Row[] =>
      ["call", "callRaw"].map((method) => ({
        name: `${method}: ${given} cannot be an argument`,
        code: syncFunction(`client.${method}("echo", ${given})`),
        expected: error(NOT_BYTES),
      })),
  ),
  {
    name: "call: without a command there is nothing to send",
    code: syncFunction("client.call()"),
    expected: error("Wrong number of arguments given"),
  },
];

const REPLIES: readonly Row[] = [
  {
    name: "reply: bulk is a string",
    code: syncFunction(`return typeof client.call("echo", "x")`),
    expected: reply("string"),
  },
  {
    name: "reply: status is a string",
    code: syncFunction(`return client.call("ping")`),
    expected: reply("PONG"),
  },
  {
    name: "reply: verbatim is a string",
    code: syncFunction(
      `return client.call("eval", "redis.setresp(3); return {verbatim_string={format='txt',string='x'}}", 0)`,
    ),
    expected: reply("x"),
  },
  ...["echo", "ping"].map(
    (command): Row => ({
      name: `reply: callRaw gives ${command === "ping" ? "status" : "bulk"} as an ArrayBuffer`,
      code: syncFunction(`const raw = client.callRaw("${command}", ...["xyz!"].slice(${command === "ping" ? 1 : 0}));
        return [raw instanceof ArrayBuffer, raw.byteLength]`),
      expected: reply([true, 4n]),
    }),
  ),
  {
    name: "reply: callRaw reaches into arrays, sets and maps",
    code: syncFunction(`client.call("del", "h", "s", "l");
      client.call("hset", "h", "a", "1"); client.call("sadd", "s", "m"); client.call("rpush", "l", "i");
      const values = [client.callRaw("hgetall", "h").a, ...client.callRaw("smembers", "s"), ...client.callRaw("lrange", "l", 0, -1)];
      return values.map((value) => value instanceof ArrayBuffer)`),
    expected: reply([true, true, true]),
  },
  {
    name: "reply: every integer is a BigInt, a small one too",
    code: syncFunction(`const n = client.call("strlen", "none"); return [typeof n, n.toString(), BigInt(n) === n]`),
    expected: reply(["bigint", "0", true]),
  },
  {
    name: "reply: an integer that fits no safe integer keeps its digits",
    code: syncFunction(
      `client.call("set", "n", "9007199254740992"); return [client.call("incr", "n"), client.callRaw("incr", "n")]`,
    ),
    expected: reply([9007199254740993n, 9007199254740994n]),
  },
  {
    name: "reply: a big number is a BigInt",
    code: syncFunction(
      `const n = client.call("eval", "redis.setresp(3); return {big_number='12345678901234567890'}", 0); return [typeof n, n]`,
    ),
    expected: reply(["bigint", 12345678901234567890n]),
  },
  {
    name: "reply: a double is a number",
    code: syncFunction(`client.call("zadd", "z", "0.3", "a", "2", "b", "inf", "c");
      return ["a", "b", "c"].map((member) => client.call("zscore", "z", member)).map((score) => [typeof score, String(score)])`),
    expected: reply([
      ["number", "0.3"],
      ["number", "2"],
      ["number", "Infinity"],
    ]),
  },
  {
    name: "reply: boolean",
    code: syncFunction(`return ["true", "false"].map((b) => client.call("eval", "redis.setresp(3); return " + b, 0))`),
    expected: reply([true, false]),
  },
  {
    name: "reply: null",
    code: syncFunction(`return [client.call("get", "none") === null, client.callRaw("get", "none") === null]`),
    expected: reply([true, true]),
  },
  {
    name: "reply: an array is an Array, nested as it is",
    code: syncFunction(`const a = client.call("eval", "return {1, {'two', {}}}", 0); return [Array.isArray(a), a]`),
    expected: reply([true, [1n, ["two", []]]]),
  },
  {
    name: "reply: a set is a Set",
    code: syncFunction(`client.call("del", "s"); client.call("sadd", "s", "a", "b");
      const s = client.call("smembers", "s"); return [s instanceof Set, [...s].sort()]`),
    expected: reply([true, ["a", "b"]]),
  },
  {
    name: "reply: a map is an object, whatever its fields are called",
    code: syncFunction(`client.call("del", "h"); client.call("hset", "h", "a", "1", "__proto__", "2");
      const h = client.call("hgetall", "h"); return [h instanceof Map, Object.keys(h).sort(), h.a]`),
    expected: reply([false, ["__proto__", "a"], "1"]),
  },
  {
    name: "reply: an error is thrown, with Redis' text",
    code: syncFunction(`client.call("set", "k", "v"); client.call("lpush", "k", "v")`),
    expected: error("WRONGTYPE Operation against a key holding the wrong kind of value"),
  },
  {
    name: "reply: an error is thrown by callRaw, too",
    code: syncFunction(`client.call("set", "k", "v"); client.callRaw("lpush", "k", "v")`),
    expected: error("WRONGTYPE Operation against a key holding the wrong kind of value"),
  },
  {
    name: "reply: an error can be caught, and the block goes on",
    code: syncFunction(
      `try { client.call("nonsense") } catch (e) { return [String(e).startsWith("ERR unknown command"), client.call("ping")] }`,
    ),
    expected: reply([true, "PONG"]),
  },
  {
    name: "reply: bulk that is not UTF-8 through call throws",
    code: syncFunction(`client.call("set", "k", new Uint8Array([255]).buffer); client.call("get", "k")`),
    expected: error("Could not decode value as string"),
  },
  {
    name: "reply: bulk that is not UTF-8 within an array throws as well",
    code: syncFunction(`client.call("set", "k", new Uint8Array([255]).buffer); client.call("mget", "none", "k")`),
    expected: error("Could not decode value as string"),
  },
  {
    name: "reply: callRaw never decodes",
    code: syncFunction(`client.call("set", "k", new Uint8Array([255, 0]).buffer);
      return [client.callRaw("get", "k"), ...client.callRaw("mget", "k")].map((raw) => new Uint8Array(raw).join())`),
    expected: reply(["255,0", "255,0"]),
  },
  {
    name: "reply: the fields of a map are the names of properties, so they are decoded by callRaw, too",
    code: syncFunction(
      `client.call("del", "h"); client.call("hset", "h", new Uint8Array([255]).buffer, "1"); client.callRaw("hgetall", "h")`,
    ),
    expected: error("Could not decode value as string"),
  },
  {
    name: "errors of the API: String() of one is its message",
    code: syncFunction(
      `try { client.call("echo", {}) } catch (e) { return [String(e), e + "", \`\${e}\`, JSON.stringify([e]), e] }`,
    ),
    expected: reply([NOT_BYTES, NOT_BYTES, NOT_BYTES, `["${NOT_BYTES}"]`, NOT_BYTES]),
  },
];

export const CLIENTS: readonly Row[] = [...BLOCKS, ...ARGUMENTS, ...REPLIES];
