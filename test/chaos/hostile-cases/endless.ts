import { attack, attackAtLoad, type Ending, type HostileCase } from "./hostile-case.ts";

const TIMEOUT: readonly Ending[] = ["FUNCTION_TIMEOUT"];

/** Code that does not end, wherever a library can put it. */
export const ENDLESS_CASES: readonly HostileCase[] = [
  attackAtLoad("loop: the top level", "for (;;);"),
  attackAtLoad("loop: a microtask of the top level", "Promise.resolve().then(() => { for (;;); });"),
  attackAtLoad(
    "loop: a getter of the registration's options",
    'redis.register_function("g", () => 1, { get flags() { for (;;); } });',
  ),
  attackAtLoad("loop: the text of what the top level throws", "throw { toString() { for (;;); } };"),
  attackAtLoad(
    "loop: the stack of what the top level throws",
    "const e = new Error(); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e;",
  ),
  attackAtLoad("loop: JSON.stringify replaced at load", "JSON.stringify = () => { for (;;); };", ["OK"]),
  attackAtLoad("loop: toJSON of what is registered", "Object.prototype.toJSON = () => { for (;;); };"),
  attackAtLoad("regular expression: at load", '/^(a+)+$/.test("a".repeat(64) + "b");'),

  attack("loop: before the first await", "for (;;);", TIMEOUT),
  attack("loop: after an await", 'await client.run_on_key("k", "r", 1); for (;;);', TIMEOUT),
  attack("loop: after an await of nothing", "await undefined; for (;;);", TIMEOUT),
  attack("loop: in a block", 'return client.block((c) => { c.call("ping"); for (;;); });', TIMEOUT),
  attack("loop: in finally, past its end", "const again = () => { try { for (;;); } finally { again(); } }; again();", [
    ...TIMEOUT,
    "FUNCTION_FAILED",
  ]),
  attack("loop: a getter of the result", "return { get a() { for (;;); } };", TIMEOUT),
  attack("loop: toString of what is thrown", "throw { toString() { for (;;); } };", TIMEOUT),
  attack(
    "loop: stack of what is thrown",
    "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e;",
    TIMEOUT,
  ),
  attack("loop: valueOf of a log line", "redis.log({ [Symbol.toPrimitive]() { for (;;); } });", TIMEOUT),
  attack(
    "loop: toJSON of a remote argument",
    'await client.run_on_key("k", "r", { toJSON() { for (;;); } });',
    TIMEOUT,
  ),
  attack("loop: traps of a proxy that is the result", "return new Proxy({}, { ownKeys() { for (;;); } });", TIMEOUT),
  attack(
    "loop: has trap of a proxy that is the result",
    "return [new Proxy({}, { getPrototypeOf() { for (;;); } })];",
    TIMEOUT,
  ),
  attack("loop: then of a thenable result", "return { then() { for (;;); } };", TIMEOUT),
  attack(
    "loop: a thenable that resolves with itself",
    "const t = { then(resolve) { resolve(t); } }; return t;",
    TIMEOUT,
  ),
  attack(
    "loop: microtasks that breed",
    "const breed = () => { Promise.resolve().then(breed); Promise.resolve().then(breed); }; breed();",
    ["OK", ...TIMEOUT, "RESOURCE_EXHAUSTED", "INDETERMINATE"],
  ),
  attack("loop: an async function that awaits for ever", "for (;;) await null;", TIMEOUT),
  attack("loop: a generator", "function* g() { for (;;) yield 1; } for (const x of g()); return 1;", TIMEOUT),
  attack(
    "loop: an async generator",
    "async function* g() { for (;;) yield 1; } for await (const x of g()); return 1;",
    TIMEOUT,
  ),
  attack("loop: spread of an endless iterator", "return [...{ *[Symbol.iterator]() { for (;;) yield; } }].length;", [
    ...TIMEOUT,
    "RESOURCE_EXHAUSTED",
    "INDETERMINATE",
  ]),
  attack("loop: a comparator of sort", "return [3, 2, 1].sort(() => { for (;;); });", TIMEOUT),
  attack("loop: a replacer of replace", '"x".replace(/x/, () => { for (;;); });', TIMEOUT),
  attack("loop: a function that never settles", "await new Promise(() => {});", ["DEADLINE_EXCEEDED"]),
  attack("loop: 24 calls at once that each take all their time", "for (;;);", [...TIMEOUT, "DEADLINE_EXCEEDED"], {
    called: 24,
  }),
  attack(
    "loop: pauses between turns of nearly all its time",
    'for (;;) { const until = Date.now() + 90; while (Date.now() < until); await client.run_on_key("k", "r", 1); }',
    ["DEADLINE_EXCEEDED", "FUNCTION_FAILED", ...TIMEOUT],
    { called: 4 },
  ),

  attack("regular expression: nested quantifiers", 'return /^(a+)+$/.test("a".repeat(64) + "b");', TIMEOUT),
  attack("regular expression: alternatives that overlap", 'return /^(a|a|aa)*$/.test("a".repeat(64) + "b");', TIMEOUT),
  attack(
    "regular expression: back references",
    'return /^(.*)\\1+(.*)\\2+(.*)\\3+x$/.test("ab".repeat(2000));',
    TIMEOUT,
  ),
  attack("regular expression: in the sticky loop of split", 'return "a".repeat(64).split(/(a+)+b/).length;', TIMEOUT),
  attack(
    "regular expression: 2 MB of alternatives",
    'return new RegExp("(a|b)?".repeat(400000)).test("a".repeat(100));',
    ["FUNCTION_TIMEOUT", "FUNCTION_FAILED", "RESOURCE_EXHAUSTED", "INDETERMINATE", "OK"],
  ),

  attack(
    "block: JavaScript that holds its shard for too long between commands",
    'return client.block((c) => { for (;;) { const until = Date.now() + 30; while (Date.now() < until); c.call("ping"); } });',
    TIMEOUT,
  ),
  attack("block: commands without end", 'return client.block((c) => { for (;;) c.call("ping"); });', TIMEOUT),
  attack(
    "block: commands without end, each error caught",
    'return client.block((c) => { for (;;) try { c.call("ping"); } catch {} });',
    TIMEOUT,
  ),
  attack("block: blocks without end", 'for (;;) client.block((c) => c.call("ping"));', TIMEOUT),
  attack("block: a blocking command", 'return client.block((c) => c.call("blpop", "nothing", "0"));', [
    "FUNCTION_FAILED",
  ]),
];
