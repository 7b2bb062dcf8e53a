import { runInNewContext } from "node:vm";
import { syncFunction } from "../../support/function-code.ts";
import { error, type Row, refused, reply } from "./row.ts";

const ONE = `redis.register_function("f", () => 1);`;
const EXAMPLE = "the first line must be like: #!js name=lib api_version=1.0";

const HEADER: readonly Row[] = [
  { name: "header: name alone", code: ONE, expected: reply(1n) },
  { name: "header: api_version=1.0", header: "#!js name=lib api_version=1.0", code: ONE, expected: reply(1n) },
  { name: "header: api_version=1.1", header: "#!js name=lib api_version=1.1", code: ONE, expected: reply(1n) },
  {
    name: "header: api_version is 1.0 where it is left out",
    code: syncFunction("return redis.apiVersion()"),
    expected: reply("1.0"),
  },
  {
    name: "header: unknown engine",
    header: "#!lua name=lib",
    code: ONE,
    expected: refused(`unknown engine 'lua', only js is there: ${EXAMPLE}`),
  },
  {
    name: "header: missing name",
    header: "#!js",
    code: ONE,
    expected: refused(`the header gives no name: ${EXAMPLE}`),
  },
  {
    name: "header: unknown property",
    header: "#!js name=lib colour=red",
    code: ONE,
    expected: refused(`unknown property 'colour': ${EXAMPLE}`),
  },
  {
    name: "header: unknown api_version",
    header: "#!js name=lib api_version=9.9",
    code: ONE,
    expected: refused("unknown api_version '9.9', known are 1.0 and 1.1"),
  },
  { name: "header: none", header: "", code: ONE, expected: refused(`the library has no header: ${EXAMPLE}`) },
];

const NAMES: readonly Row[] = [
  {
    name: "names: a library's, a function's and a remote function's may hold letters, digits and _",
    header: "#!js name=Lib_9",
    code: `
      redis.register_remote_function("Remote_9", async () => 1);
      redis.register_async_function("F_9", async (client) => client.run_on_key("k", "Remote_9"));`,
    call: "F_9",
    expected: reply(1n),
  },
  {
    name: "names: a library's must match",
    header: "#!js name=a-b",
    code: ONE,
    expected: refused("Unallowed library name 'a-b': only letters, digits and _"),
  },
  ...["x-y", "x.y", "", "ä", "x\\n"].flatMap((name): Row[] => [
    {
      name: `names: a function's must match, "${name}" does not`,
      code: `redis.registerFunction("${name}", () => 1)`,
      expected: refused(/^Unallowed function name '[^']*' \(lib:2\)$/),
    },
    {
      name: `names: a remote function's must match, "${name}" does not`,
      code: `redis.registerClusterFunction("${name}", async () => 1)`,
      expected: refused(/^Unallowed cluster function name '[^']*' \(lib:2\)$/),
    },
  ]),
];

const TOP_LEVEL: readonly Row[] = [
  {
    name: "top level: it runs once, for all calls",
    code: `let runs = 0; runs++; redis.register_function("f", () => runs);`,
    expected: reply(1n),
  },
  {
    name: "top level: a throw refuses the library and names the line",
    code: `${ONE}\nthrow new RangeError("no")`,
    expected: refused("RangeError: no (lib:3)"),
  },
  {
    name: "top level: an error in a function that it calls names the line where it was thrown",
    code: `const deep = () => {\n  undefined.x;\n};\ndeep();`,
    expected: refused("TypeError: Cannot read properties of undefined (reading 'x') (lib:3)"),
  },
  {
    name: "top level: what is thrown need not be an Error; a text has no line",
    code: `${ONE}\nthrow "no";`,
    expected: refused("no"),
  },
  ...[
    [`{ a: 1 }`, "an object was thrown that is no Error"],
    ["null", "null"],
    ["undefined", "undefined"],
    ["5n", "5"],
  ].map(
    ([thrown, text = ""]): Row => ({
      name: `top level: ${thrown} may be thrown as well, and has no line either`,
      code: `${ONE}\nthrow ${thrown};`,
      expected: refused(text),
    }),
  ),
  {
    name: "top level: a syntax error refuses the library and names the line",
    code: `${ONE}\nlet a = ;`,
    expected: refused("SyntaxError: Unexpected token ';' (lib:3)"),
  },
  {
    name: "top level: a timeout refuses the library and names the line where it was",
    code: `${ONE}\nfor (;;);`,
    expected: refused("the library's top level ran longer than 2000 ms (lib:3)"),
  },
  {
    name: "top level: a timeout in a function that it calls names the line there",
    code: `const deep = () => {\n  for (;;);\n};\ndeep();`,
    expected: refused("the library's top level ran longer than 2000 ms (lib:3)"),
  },
  {
    name: "top level: no registration refuses the library",
    code: "1 + 1;",
    expected: refused("Neither function nor other registrations were found."),
  },
  {
    name: "top level: it has no client and cannot reach Redis",
    code: `const ways = ["call", "callRaw", "call_raw", "block"].filter((way) => way in redis || way in globalThis);
      const clients = typeof client;
      redis.register_function("f", () => [ways, clients]);`,
    expected: reply([[], "undefined"]),
  },
  ...[
    "register_function",
    "registerFunction",
    "register_async_function",
    "registerAsyncFunction",
    "register_remote_function",
    "registerClusterFunction",
  ].map(
    (spelling): Row => ({
      name: `top level: only there may ${spelling} be called`,
      code: syncFunction(`redis.${spelling}("late", async () => 1)`),
      expected: error(`'${spelling}' may only be called while the library is loaded`),
    }),
  ),
];

/** What Node adds to plain V8, whose own console a library does not have either. */
function nodeGlobals(): string[] {
  const ofV8 = new Set(runInNewContext("Object.getOwnPropertyNames(globalThis)") as string[]);
  return Object.getOwnPropertyNames(globalThis).filter((name) => !ofV8.has(name));
}

const ABSENT: readonly Row[] = [
  ...["eval", "SharedArrayBuffer", "Atomics", "WebAssembly", "console"].map(
    (name): Row => ({
      name: `absent: ${name}`,
      code: syncFunction(`return ["${name}" in globalThis, typeof ${name}]`),
      expected: reply([false, "undefined"]),
    }),
  ),
  {
    name: "absent: every Node global",
    code: syncFunction("return args.filter((name) => name in globalThis)"),
    args: ["require", "module", "__filename", ...nodeGlobals()],
    expected: reply([]),
  },
  ...["Function", "(() => 1).constructor", "(async () => 1).constructor", "(function* () {}).constructor"].map(
    (way): Row => ({
      name: `absent: eval by way of ${way}`,
      code: syncFunction(`return ${way}("return 1")()`),
      expected: error("a library cannot make code from text"),
    }),
  ),
];

export const LIBRARY_TEXT: readonly Row[] = [...HEADER, ...NAMES, ...TOP_LEVEL, ...ABSENT];
