import { asyncFunction, syncFunction } from "../../support/function-code.ts";
import { error, type Row } from "./row.ts";

/** Errors of a library's own code: they carry the function, the library, the line and the message. */
export const LIBRARY_ERRORS: readonly Row[] = [
  {
    name: "a synchronous function: library, line, function and message",
    code: `redis.register_function("f", () => {\n  throw new Error("no");\n});`,
    expected: error("Error: no (lib:3) in f"),
  },
  {
    name: "an async function, before and after an await",
    code: `redis.register_async_function("f", async () => {\n  await null;\n  throw new RangeError("no");\n});`,
    expected: error("RangeError: no (lib:4) in f"),
  },
  {
    name: "what JavaScript itself throws",
    code: syncFunction("\nreturn nothing.here"),
    expected: error("ReferenceError: nothing is not defined (lib:3) in f"),
  },
  {
    name: "a class of the library's own",
    code: `class Mine extends Error {\n  name = "Mine";\n}\n${syncFunction(`throw new Mine("no")`)}`,
    expected: error("Mine: no (lib:5) in f"),
  },
  {
    name: "thrown in a block: the line in the block",
    code: asyncFunction(`\nclient.block(() => {\n  undefined.x;\n});`),
    expected: error("TypeError: Cannot read properties of undefined (reading 'x') (lib:4) in f"),
  },
  {
    name: "thrown in a function that is called: the line where it was thrown",
    code: `const deep = () => {\n  throw new Error("deep");\n};\n${syncFunction("deep()")}`,
    expected: error("Error: deep (lib:3) in f"),
  },
  {
    name: "in a remote function: its name and line, for the caller, too",
    code: `redis.register_remote_function("r", async () => {\n  throw new Error("far");\n});\n${asyncFunction(`await client.runOnKey("k", "r")`)}`,
    expected: error("Error: far (lib:3) in r"),
  },
  ...[
    ["a text", `"mine"`, "mine"],
    ["a number", "5", "5"],
    ["an object with a text", `{ toString: () => "mine" }`, "mine"],
    ["null", "null", "null"],
  ].map(
    ([what = "", thrown, text = ""]): Row => ({
      name: `${what} need not be an Error: it is the message, as it is`,
      code: syncFunction(`throw ${thrown}`),
      expected: error(text),
    }),
  ),
  ...["sync", "async"].map(
    (kind): Row => ({
      name: `a function (${kind}) that does not pause: the line where it was ended`,
      code: kind === "sync" ? syncFunction("\nfor (;;);") : asyncFunction("await null;\nfor (;;);"),
      expected: error("the function ran longer than 3000 ms without a pause (lib:3) in f", "FUNCTION_TIMEOUT"),
    }),
  ),
  {
    name: "a block that holds its shard too long: the next call throws",
    code: syncFunction(
      `client.call("ping"); const until = Date.now() + 1500; while (Date.now() < until); client.call("ping")`,
    ),
    expected: error("the block held its shard longer than lock-redis-timeout allows (1000 ms)", "FUNCTION_TIMEOUT"),
  },
];

/** The same with error-verbosity 2, in a sandbox that is told so: the stack follows, in which no place of the host is. */
export const STACKS: readonly Row[] = [
  {
    name: "a synchronous function",
    code: `const deep = () => {\n  throw new Error("no");\n};\nredis.register_function("f", () => deep());`,
    expected: error(
      /^Error: no \(lib:3\) in f\nError: no\n {4}at deep \(lib:3:9\)\n {4}at lib:5:36(?:\n {4}at \S+ \(gearmesh:[^)]*\))*$/,
    ),
  },
  {
    name: "an async function",
    code: asyncFunction(`await null;\nthrow new Error("no")`),
    expected: error(/^Error: no \(lib:3\) in f\nError: no\n {4}at lib:3:7$/),
  },
  {
    name: "the API's own errors have none",
    code: syncFunction(`client.call("echo", {})`),
    expected: error("Can not convert value into bytes buffer"),
  },
];
