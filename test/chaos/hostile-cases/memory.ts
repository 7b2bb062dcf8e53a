import { attack, attackAtLoad, type Ending, type HostileCase } from "./hostile-case.ts";

/** The library's memory ends, or its time, or what it asked for is refused by V8 itself. */
export const ENDED: readonly Ending[] = ["RESOURCE_EXHAUSTED", "FUNCTION_TIMEOUT", "FUNCTION_FAILED"];

/** V8 cannot end it: the process ends, with at most that one answer for its caller. */
export const KILLS: readonly Ending[] = [...ENDED, "INDETERMINATE"];

/** Memory and recursion without end. */
export const MEMORY_CASES: readonly HostileCase[] = [
  attack("memory: objects without end", "const all = []; for (;;) all.push({ all });", KILLS),
  attack("memory: closures without end", "let last; for (;;) { const held = last; last = () => held; }", KILLS),
  attack("memory: a string that doubles", 'let s = "x"; for (;;) s += s;', ENDED),
  attack(
    "memory: flat strings without end",
    'const all = []; for (;;) all.push(("x".repeat(1 << 16) + all.length).split("").join("-"));',
    KILLS,
  ),
  attack("memory: array buffers without end", "const all = []; for (;;) all.push(new ArrayBuffer(1 << 20));", KILLS),
  attack("memory: one array buffer of 8 GB", "return new ArrayBuffer(2 ** 33).byteLength;", ENDED),
  attack(
    "memory: a resizable buffer that grows to 4 GB",
    "const b = new ArrayBuffer(0, { maxByteLength: 2 ** 32 }); for (let n = 1; ; n *= 2) { b.resize(n); new Uint8Array(b).fill(1); }",
    KILLS,
  ),
  attack("memory: a Map that grows", "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]);", KILLS),
  attack("memory: a Set that grows", 'const s = new Set(); for (let i = 0; ; i++) s.add("k" + i);', KILLS),
  attack("memory: symbols in the registry without end", 'for (let i = 0; ; i++) Symbol.for("s" + i);', KILLS),
  attack(
    "memory: what native formatters hold",
    'const all = []; for (;;) all.push(new Intl.DateTimeFormat("de", { timeZone: "UTC" }));',
    KILLS,
  ),
  attack(
    "memory: globals that grow with each call",
    "kept.push(new Uint8Array(8 << 20).fill(1)); return kept.length;",
    [...KILLS, "OK"],
    { called: 12, topLevel: "const kept = [];" },
  ),
  attack(
    "memory: promises that wait for ever",
    "const all = []; for (;;) all.push(new Promise(() => {}).then(() => all));",
    KILLS,
  ),
  attackAtLoad("memory: a top level without end", "const all = []; for (;;) all.push({ all });"),
  attackAtLoad(
    "memory: a top level that fills buffers",
    "const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));",
  ),

  attack("recursion: a function", "const f = () => f() + 1; return f();", ["FUNCTION_FAILED"]),
  attack(
    "recursion: toJSON inside of JSON.stringify",
    "const o = { toJSON() { return JSON.stringify(o); } }; return JSON.stringify(o);",
    ["FUNCTION_FAILED"],
  ),
  attack("recursion: a getter", "const o = { get a() { return o.a; } }; return o.a;", ["FUNCTION_FAILED"]),
  attack(
    "recursion: a proxy of itself",
    "const h = {}; const p = new Proxy({}, h); Object.setPrototypeOf(h, p); return p.x;",
    ["FUNCTION_FAILED", "OK"],
  ),
  attack("recursion: toString of what is thrown", "const o = { toString() { return String(o); } }; throw o;", [
    "FUNCTION_FAILED",
  ]),
  attack(
    "recursion: a nested regular expression",
    'return new RegExp("(".repeat(1e5) + ")".repeat(1e5)).test("x");',
    ENDED,
  ),
  attack(
    "recursion: JSON.parse of a million brackets",
    'return JSON.parse("[".repeat(1e6) + "]".repeat(1e6)).length;',
    [...ENDED, "OK"],
  ),
  attack(
    "recursion: JSON.stringify of a deep array",
    "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return JSON.stringify(a).length;",
    [...ENDED, "OK"],
  ),
  attack(
    "recursion: a chain of bound functions",
    "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); return f();",
    [...ENDED, "OK"],
  ),
  attack(
    "recursion: a command at the end of the stack",
    `
  let seen = [];
  const dive = (c) => { try { dive(c); } catch { try { c.call("ping"); } catch (e) { seen.push(String(e) + e.stack); } } };
  client.block((c) => dive(c));
  return seen.filter((text) => /file:|node_modules|sandbox/.test(text)).length;`,
    ["OK", "FUNCTION_TIMEOUT"],
    { value: 0n },
  ),
  attack(
    "recursion: a log line at the end of the stack",
    `
  let seen = [];
  const dive = () => { try { dive(); } catch { try { redis.log("deep"); } catch (e) { seen.push(String(e) + e.stack); } } };
  dive();
  return seen.filter((text) => /file:|node_modules|sandbox/.test(text)).length;`,
    ["OK", "FUNCTION_TIMEOUT"],
    { value: 0n },
  ),
];
