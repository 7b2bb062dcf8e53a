import { asyncFunction, syncFunction } from "../../support/function-code.ts";
import { error, type Row, refused, reply } from "./row.ts";

const REGISTERING: readonly Row[] = [
  {
    name: "redis.register_function(name, fn)",
    code: `redis.register_function("f", (client) => client.call("ping"));`,
    expected: reply("PONG"),
  },
  {
    name: "redis.register_function(name, fn, flags)",
    code: `redis.register_function("f", (client) => client.call("set", "a", "b"), ["no-writes"]);`,
    expected: error("Write command 'set' was called while write is not allowed"),
  },
  {
    name: "redis.registerFunction(name, fn)",
    code: `redis.registerFunction("f", (client) => client.call("ping"));`,
    expected: reply("PONG"),
  },
  {
    name: "redis.registerFunction(name, fn, {description, flags})",
    code: `redis.registerFunction("f", (client) => client.call("set", "a", "b"),
      { description: "writes", flags: [redis.functionFlags.NO_WRITES] });`,
    expected: error("Write command 'set' was called while write is not allowed"),
  },
  {
    name: "redis.register_async_function",
    code: `redis.register_async_function("f", async (client) => client.block((c) => c.call("ping")));`,
    expected: reply("PONG"),
  },
  {
    name: "redis.registerAsyncFunction, fn async",
    code: `redis.registerAsyncFunction("f", async (client) => client.block((c) => c.call("ping")));`,
    expected: reply("PONG"),
  },
  {
    name: "redis.registerAsyncFunction, fn sync",
    code: `redis.registerAsyncFunction("f", (client) => client.block((c) => c.call("ping")));`,
    expected: reply("PONG"),
  },
  {
    name: "redis.register_async_function, fn sync, with flags",
    code: `redis.register_async_function("f", (client) => client.block((c) => c.call("set", "a", "b")), ["no-writes"]);`,
    expected: error("Write command 'set' was called while write is not allowed"),
  },
  ...[`, ["no-writes"]`, `, { flags: ["no-writes"], description: "writes" }`].map(
    (options): Row => ({
      name: `redis.registerAsyncFunction(name, fn${options})`,
      code: `redis.registerAsyncFunction("f", async (client) => client.block((c) => c.call("set", "a", "b"))${options});`,
      expected: error("Write command 'set' was called while write is not allowed"),
    }),
  ),
  ...[
    [`register_stream_consumer("s", "prefix", 1, false, () => 1)`, "register_stream_consumer"],
    [`registerStreamTrigger("s", "prefix", () => 1, { window: 1, isStreamTrimmed: true })`, "registerStreamTrigger"],
    [`register_notifications_consumer("n", "prefix", () => 1)`, "register_notifications_consumer"],
    [`registerKeySpaceTrigger("n", "prefix", () => 1, { onTriggerFired: () => 1 })`, "registerKeySpaceTrigger"],
  ].map(
    ([call, spelling]): Row => ({
      name: `redis.${spelling} is refused at load for now`,
      code: `redis.register_function("f", () => 1);\nredis.${call};`,
      expected: refused(`'${spelling}' is not supported for now: streams and keys do not trigger functions (lib:3)`),
    }),
  ),
];

const REMOTE = `
  redis.register_remote_function("older", async (client, ...args) => ["older", ...args]);
  redis.registerClusterFunction("later", async (client, ...args) => ["later", ...args]);`;

const CLIENTS: readonly Row[] = [
  ...["run_on_key", "runOnKey"].map(
    (spelling): Row => ({
      name: `client.${spelling} of functions registered in either spelling`,
      code: `${REMOTE}
        redis.register_async_function("f", async (client) =>
          [await client.${spelling}("k", "older", 1), await client.${spelling}("k", "later", "a", [2])]);`,
      expected: reply([
        ["older", 1n],
        ["later", "a", [2n]],
      ]),
    }),
  ),
  ...["run_on_all_shards", "runOnShards"].map(
    (spelling): Row => ({
      name: `client.${spelling} of functions registered in either spelling`,
      code: `${REMOTE}
        redis.register_async_function("f", async (client) =>
          [await client.${spelling}("older", 1), await client.${spelling}("later", "a", [2])]);`,
      expected: reply([
        [[["older", 1n]], []],
        [[["later", "a", [2n]]], []],
      ]),
    }),
  ),
  ...["call_raw", "callRaw"].map(
    (spelling): Row => ({
      name: `client.${spelling}`,
      code: syncFunction(`return client.${spelling}("ping") instanceof ArrayBuffer`),
      expected: reply(true),
    }),
  ),
  ...["run_on_background", "executeAsync"].map(
    (spelling): Row => ({
      name: `client.${spelling} gives an async client once the block has ended, and resolves with the result`,
      code: syncFunction(`return client.${spelling}(async (c) => [typeof c.call, c.block((c) => c.call("ping"))])`),
      expected: reply(["undefined", "PONG"]),
    }),
  ),
  ...["allow_block", "isBlockAllowed"].map(
    (spelling): Row => ({
      name: `client.${spelling}`,
      code: syncFunction(`return client.${spelling}()`),
      expected: reply(true),
    }),
  ),
];

const LATER: readonly Row[] = [
  {
    name: "api_version 1.0 has no callAsync family",
    header: "#!js name=lib api_version=1.0",
    code: syncFunction("return [typeof client.callAsync, typeof client.callAsyncRaw]"),
    expected: reply(["undefined", "undefined"]),
  },
  {
    name: "api_version 1.1: client.callAsync gives a promise of what call gives",
    header: "#!js name=lib api_version=1.1",
    code: syncFunction(
      `const given = client.callAsync("strlen", "none"); return given.then((reply) => [given instanceof Promise, reply])`,
    ),
    expected: reply([true, 0n]),
  },
  {
    name: "api_version 1.1: client.callAsyncRaw gives a promise of what callRaw gives",
    header: "#!js name=lib api_version=1.1",
    code: syncFunction(`return client.callAsyncRaw("ping").then((raw) => raw instanceof ArrayBuffer)`),
    expected: reply(true),
  },
  {
    name: "api_version 1.1: callAsync rejects with what call throws",
    header: "#!js name=lib api_version=1.1",
    code: asyncFunction(`return client.block((c) => c.callAsync("lpush")).catch(String)`),
    expected: reply("ERR wrong number of arguments for 'lpush' command"),
  },
];

const GLOBAL: readonly Row[] = [
  ...["v8_version", "v8Version"].map(
    (spelling): Row => ({
      name: `redis.${spelling}`,
      code: syncFunction(`return redis.${spelling}()`),
      expected: reply(process.versions.v8),
    }),
  ),
  ...["api_version", "apiVersion"].map(
    (spelling): Row => ({
      name: `redis.${spelling}`,
      header: "#!js name=lib api_version=1.1",
      code: syncFunction(`return redis.${spelling}()`),
      expected: reply("1.1"),
    }),
  ),
  {
    name: "redis.config is the JSON given at load",
    code: syncFunction("return redis.config"),
    config: `{"list": [1, 2.5, null, "é"], "deep": {"a": true}}`,
    expected: reply({ list: [1n, 2.5, null, "é"], deep: { a: true } }),
  },
  {
    name: "redis.config is {} by default",
    code: syncFunction("return JSON.stringify(redis.config)"),
    expected: reply("{}"),
  },
  {
    name: "redis.functionFlags",
    code: syncFunction("return redis.functionFlags"),
    expected: reply({ NO_WRITES: "no-writes", ALLOW_OOM: "allow-oom", RAW_ARGUMENTS: "raw-arguments" }),
  },
  {
    name: "redis.functionFlags: each of them is taken at registration, in either form",
    code: `const all = Object.values(redis.functionFlags);
      redis.register_function("f", () => all.length, all);
      redis.registerFunction("g", () => all.length, { flags: all });`,
    expected: reply(3n),
  },
  { name: "redis.log takes a text", code: syncFunction(`return redis.log("hello")`), expected: reply(null) },
  {
    name: "redis.log takes a text at the top level",
    code: `redis.log("loading"); redis.register_function("f", () => 1);`,
    expected: reply(1n),
  },
];

export const API: readonly Row[] = [...REGISTERING, ...CLIENTS, ...LATER, ...GLOBAL];
