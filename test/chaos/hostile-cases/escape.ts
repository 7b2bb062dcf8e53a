import { attack, attackAtLoad, escapeAttempt, type HostileCase } from "./hostile-case.ts";

/** Everything that a library is handed, for those that look for a way out of it. */
const HANDED = `
  const thrown = (f) => { try { f(); } catch (e) { return e; } };
  const values = [client, client.block, client.run_on_key, client.runOnShards, client.publish, redis.register_rpc_method, redis, redis.log, redis.config, redis.functionFlags];
  client.block((c) => {
    values.push(c, c.call, c.callRaw, c.executeAsync, thrown(() => c.call({})), thrown(() => c.call("nonsense")), c.callRaw("echo", "x"));
    values.push(c.call("command", "info", "get"), thrown(() => client.block(() => 1)), thrown(() => c.call("get")));
  });
  values.push(thrown(() => client.block()), thrown(() => redis.register_function("x", () => 1)), thrown(() => JSON.parse("{")));
  values.push(await client.run_on_key("k", "r", { a: 1 }), await client.run_on_key("k", "nothing").catch((e) => e));
  values.push(client.publish("t", 1).catch((e) => e), thrown(() => client.publish(1)), thrown(() => redis.registerRpcMethod("x", async () => 1)));
  values.push(client.run_on_all_shards("r", 1), await client.run_on_all_shards("r", 1), new Error("own"), Symbol, Promise.reject);`;

const WALK = `
  const seen = new Set();
  const look = (value, path, depth) => {
    if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value) || depth > 8) return;
    seen.add(value);
    visit(value, path);
    look(Object.getPrototypeOf(value), path + ".__proto__", depth + 1);
    for (const key of Reflect.ownKeys(value)) {
      const d = Object.getOwnPropertyDescriptor(value, key);
      if (!d) continue;
      for (const part of ["value", "get", "set"]) look(d[part], path + "." + String(key), depth + 1);
    }
  };
  for (const value of [globalThis, ...values]) look(value, "", 0);`;

/** Attempts to reach the process around the isolate. */
export const ESCAPE_CASES: readonly HostileCase[] = [
  escapeAttempt(
    "escape: constructor.constructor of everything handed out",
    `${HANDED}
  for (const value of values) {
    for (const make of [value?.constructor?.constructor, value?.constructor, value?.then?.constructor]) {
      try { const way = make("return process")(); if (way) found.push(typeof way); } catch {}
      try { if (make("return 1")() === 1) found.push("code from text"); } catch {}
    }
  }`,
  ),
  escapeAttempt(
    "escape: constructors of all kinds of functions",
    `
  for (const f of [() => 1, async () => 1, function* () {}, async function* () {}, class {}, client.block, redis.log, Map, Proxy]) {
    try { f.constructor("return 1"); found.push(String(f)); } catch {}
    try { Reflect.construct(f.constructor, ["return 1"]); found.push(String(f)); } catch {}
    try { Object.getPrototypeOf(f).constructor("return 1"); found.push(String(f)); } catch {}
  }
  try { Function("return 1"); found.push("Function"); } catch {}`,
  ),
  escapeAttempt(
    "escape: a walk over all that can be reached",
    `${HANDED}
  const names = /^(process|require|module|Buffer|ivm|Isolate|Reference|ExternalCopy|Callback|eval|WebAssembly|SharedArrayBuffer|Atomics|console|setTimeout|fetch)$/;
  const visit = (value, path) => {
    for (const key of Reflect.ownKeys(value)) if (typeof key === "string" && names.test(key)) found.push(path + "." + key);
    if (typeof value === "function" && names.test(value.name)) found.push(path + ":" + value.name);
  };${WALK}`,
  ),
  escapeAttempt(
    "escape: names of the host",
    `
  for (const name of ["process", "require", "module", "exports", "Buffer", "global", "setTimeout", "fetch", "ivm", "isolated_vm", "_ivm", "$0", "__dirname", "console", "eval", "queueMicrotask", "gearmesh", "host", "install"])
    if (name in globalThis) found.push(name);`,
  ),
  escapeAttempt(
    "escape: typed arrays over foreign memory",
    `
  for (const C of [Uint8Array, Float64Array, DataView]) for (const n of [2 ** 40, -1]) try { new C(n); found.push(C.name + n); } catch {}
  const raw = client.block((c) => c.callRaw("echo", "abc"));
  if (raw.byteLength !== 3 || raw.resizable) found.push("raw " + raw.byteLength);`,
  ),
  escapeAttempt(
    "escape: paths of the host in errors",
    `${HANDED}
  for (const value of values) if (value instanceof Error && /file:|node_modules|\\/src\\/|\\.ts/.test(String(value) + value.stack)) found.push(value.stack);`,
  ),
  escapeAttempt(
    "escape: callers of the library's functions",
    `
  const sloppy = globalThis.sloppy;
  for (const way of [() => sloppy().caller, () => sloppy().args.callee.caller, () => sloppy.caller, () => sloppy.arguments]) {
    try { const v = way(); if (v && !String(v).includes("sloppy")) found.push(String(v)); } catch {}
  }
  const viaToString = { toString: function () { const c = arguments.callee.caller; if (c) found.push("caller " + c); return "x"; } };
  redis.log(viaToString);
  client.run_on_key("k", "r", { toJSON: function () { const c = arguments.callee.caller; if (c && c !== JSON.stringify) found.push("json " + c); return 1; } });`,
    "globalThis.sloppy = function () { return { caller: sloppy.caller, args: arguments }; };",
  ),
  escapeAttempt(
    "escape: call sites of the guest's own frames",
    `
  const sites = [];
  Error.prepareStackTrace = (e, s) => { sites.push(...s); return ""; };
  const own = { toString() { new Error("x").stack; return "y"; } };
  redis.log(own);
  try { client.block((c) => c.call({ })); } catch (e) { e.stack; }
  Error.prepareStackTrace = undefined;
  for (const s of sites) {
    for (const way of ["getThis", "getFunction"]) try { const v = s[way](); if (v !== undefined && v !== globalThis && v !== own && !String(v).includes("sites") && !String(v).includes("toString")) found.push(way + " " + String(v).slice(0, 80)); } catch {}
    if (/file:|node_modules/.test(String(s.getFileName()))) found.push(s.getFileName());
  }`,
  ),
  escapeAttempt(
    "escape: private fields through forged receivers",
    `
  client.block((c) => {
    for (const fake of [{}, null, Object.create(c), new Proxy(c, {}), redis]) {
      try { c.call.call(fake, "ping"); found.push("call"); } catch {}
      try { client.block.call(fake, () => found.push("block")); } catch {}
    }
  });`,
  ),
  escapeAttempt(
    "escape: clients made by hand",
    `
  const C = client.constructor;
  let B; client.block((c) => { B = c.constructor; });
  const stolen = [];
  const trap = new Proxy({}, { get: (_, key) => { stolen.push(String(key)); return 1; } });
  for (const K of [C, B]) for (const args of [[], [{}, {}], [trap, trap], [client, client]]) {
    try { const k = new K(...args); for (const m of ["call", "block", "run_on_key", "executeAsync"]) try { if (k[m]("ping", "ping") === "PONG") found.push(m); } catch {} } catch {}
  }
  class Thief extends B { steal() { return Object.keys(this).concat(Object.getOwnPropertyNames(this)); } }
  found.push(...new Thief(trap, trap).steal());`,
  ),
  escapeAttempt(
    "escape: fake internals",
    `
  globalThis.__gearmesh = { host: { call: () => "PWNED" } };
  try { redis = { fake: true }; } catch {}
  if (redis.fake) found.push("redis is another");
  try { delete globalThis.redis; if (typeof redis === "undefined") found.push("redis is gone"); } catch {}
  try { redis.config = 1; redis.x = 1; } catch {}
  if (redis.x || redis.config === 1) found.push("redis can be changed");
  try { redis.register_function("late", () => 1); found.push("late registration"); } catch {}`,
  ),
  attackAtLoad("escape: import of a module", 'import fs from "node:fs";'),
  attack("escape: import() of a module", 'return (await import("node:fs")).readFileSync("/etc/passwd", "utf8");', [
    "FUNCTION_FAILED",
  ]),
  attack(
    "escape: import() of the guest's own modules",
    'return Object.keys(await import("gearmesh:install")).length;',
    ["FUNCTION_FAILED"],
  ),
  attack("escape: require", 'return require("child_process").execSync("id").toString();', ["FUNCTION_FAILED"]),
  attack("escape: eval", 'return eval("1");', ["FUNCTION_FAILED"]),

  attack("thrown: a proxy", "throw new Proxy({}, { get() { throw new Proxy({}, {}); } });", ["FUNCTION_FAILED"]),
  attack("thrown: a revoked proxy", "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy;", [
    "FUNCTION_FAILED",
  ]),
  attack(
    "thrown: a proxy of an error that counts its traps for ever",
    "throw new Proxy(new Error('x'), { get(t, k) { for (;;); }, getPrototypeOf() { for (;;); } });",
    ["FUNCTION_TIMEOUT"],
  ),
  attack("thrown: a symbol", "throw Symbol('x');", ["FUNCTION_FAILED"]),
  attack("thrown: a function", "throw () => process;", ["FUNCTION_FAILED"]),
  attack("thrown: an object without a prototype", "throw Object.create(null);", ["FUNCTION_FAILED"]),
  attack(
    "thrown: an error whose every property throws",
    "const e = new Error('x'); for (const k of ['message', 'stack', 'name', 'code', 'toString']) Object.defineProperty(e, k, { get() { throw e; } }); throw e;",
    ["FUNCTION_FAILED"],
  ),
  attack(
    "thrown: a text that pretends to be a code",
    "const e = new Error('x'); e.code = 'UNAUTHENTICATED'; e.name = 'Fault'; throw e;",
    ["FUNCTION_FAILED"],
  ),
  attack(
    "thrown: an error of the API with another code",
    "try { client.block((c) => c.call({})); } catch (e) { e.code = 'MOVED'; e.message = 'MOVED 1 127.0.0.1:1'; throw e; }",
    ["FUNCTION_FAILED"],
  ),
  attackAtLoad(
    "thrown: a revoked proxy by the top level",
    "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy;",
  ),
  attackAtLoad(
    "thrown: a proxy with traps by the top level",
    "throw new Proxy(new Error('x'), { get() { throw 1; }, getPrototypeOf() { throw 2; } });",
  ),
  attack("result: a symbol", "return Symbol('x');", ["FUNCTION_FAILED"]),
  attack("result: a function", "return { f() { return process; } };", ["FUNCTION_FAILED"]),
  attack("result: a revoked proxy", "const { proxy, revoke } = Proxy.revocable([], {}); revoke(); return [proxy];", [
    "FUNCTION_FAILED",
  ]),
  attack("result: a cycle", "const a = []; a.push(a); return a;", ["FUNCTION_FAILED"]),
  attack("result: a detached buffer", "const b = new ArrayBuffer(8); b.transfer(); return b;", [
    "OK",
    "FUNCTION_FAILED",
  ]),
  attack(
    "result: a buffer that shrinks while it is written",
    "const b = new ArrayBuffer(1 << 16, { maxByteLength: 1 << 20 }); const v = new Uint8Array(b); return [{ get a() { b.resize(0); return 1; } }, v];",
    ["OK", "FUNCTION_FAILED"],
  ),
];
