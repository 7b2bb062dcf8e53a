import { attack, attackAtLoad, type Ending, type HostileCase, tampering } from "./hostile-case.ts";

/** Its own harm is the library's own affair, as long as its caller gets one clear answer. */
const OWN_HARM: readonly Ending[] = [
  "OK",
  "LIBRARY_REFUSED",
  "FUNCTION_FAILED",
  "FUNCTION_TIMEOUT",
  "DEADLINE_EXCEEDED",
];

/** Built-ins changed under the guest's feet. */
export const TAMPERING_CASES: readonly HostileCase[] = [
  tampering(
    "tampering: setters on Object.prototype",
    `
for (const key of ["id", "isOver", "kind", "name", "body", "code", "message", "stack", "host", "run", "0", "1"])
  Object.defineProperty(Object.prototype, key, { set() { throw new Error("hijacked"); }, get() { return undefined; }, configurable: true });`,
    OWN_HARM,
  ),
  tampering(
    "tampering: then on Object.prototype",
    'Object.prototype.then = function (resolve) { resolve("hijacked"); };',
    ["OK"],
  ),
  tampering(
    "tampering: toString and valueOf of Object.prototype",
    'Object.prototype.toString = Object.prototype.valueOf = () => { throw new Error("hijacked"); };',
  ),
  tampering(
    "tampering: setters on Array.prototype",
    `
for (let i = 0; i < 16; i++) Object.defineProperty(Array.prototype, i, { set(v) { throw new Error("hijacked"); }, configurable: true });`,
    OWN_HARM,
  ),
  tampering(
    "tampering: methods of Array.prototype",
    'for (const key of ["push", "map", "slice", "join", "forEach", "concat", "shift", "pop"]) Array.prototype[key] = () => { throw new Error("hijacked"); };',
  ),
  tampering(
    "tampering: the iterator of Array.prototype",
    "Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1; };",
    [...OWN_HARM, "RESOURCE_EXHAUSTED"],
  ),
  tampering(
    "tampering: Array.isArray and Object.keys",
    "Array.isArray = () => true; Object.keys = () => { throw 1; }; Object.defineProperty = Reflect.apply = () => { throw 1; };",
  ),
  tampering(
    "tampering: the global Promise",
    "globalThis.Promise = class { constructor() { throw new Error('hijacked'); } };",
  ),
  tampering("tampering: Promise.prototype.then", "Promise.prototype.then = () => { for (;;); };"),
  tampering("tampering: Promise.resolve", "Promise.resolve = () => { for (;;); };"),
  tampering(
    "tampering: Symbol.species of Promise",
    "Object.defineProperty(Promise, Symbol.species, { value: class { constructor(run) { run(() => { throw 1; }, () => { throw 2; }); } } });",
    OWN_HARM,
  ),
  tampering(
    "tampering: constructor of Promise.prototype",
    "Object.defineProperty(Promise.prototype, 'constructor', { get() { for (;;); } });",
    OWN_HARM,
  ),
  tampering(
    "tampering: Symbol.species of ArrayBuffer",
    "Object.defineProperty(ArrayBuffer, Symbol.species, { value: function () { return new Uint8Array(4).buffer; } });",
  ),
  tampering("tampering: JSON", "JSON.parse = JSON.stringify = () => 'hijacked'; globalThis.JSON = undefined;"),
  tampering(
    "tampering: Function.prototype.call, apply and bind",
    "for (const key of ['call', 'apply', 'bind']) Function.prototype[key] = () => { throw new Error('hijacked'); };",
  ),
  tampering(
    "tampering: Symbol.hasInstance",
    "for (const C of [Error, ArrayBuffer, Set, Map]) Object.defineProperty(C, Symbol.hasInstance, { value: () => true });",
    OWN_HARM,
  ),
  tampering(
    "tampering: the global ArrayBuffer and views",
    "globalThis.ArrayBuffer = globalThis.Uint8Array = globalThis.DataView = undefined;",
    OWN_HARM,
  ),
  tampering(
    "tampering: methods of String.prototype",
    "for (const key of ['slice', 'charCodeAt', 'repeat', 'toString']) String.prototype[key] = () => { throw new Error('hijacked'); }; globalThis.String = undefined;",
  ),
  tampering("tampering: RegExp.prototype.exec", "RegExp.prototype.exec = () => { for (;;); };"),
  tampering(
    "tampering: the prototypes of client and functions",
    "Object.setPrototypeOf(Function.prototype, new Proxy({}, { get() { throw new Error('hijacked'); } }));",
    OWN_HARM,
  ),
  tampering(
    "tampering: every built-in frozen",
    "for (const key of Object.getOwnPropertyNames(globalThis)) { const v = globalThis[key]; if (v && typeof v === 'function') { Object.freeze(v); Object.freeze(v.prototype); } }",
  ),
  tampering(
    "tampering: every global deleted",
    "for (const key of Object.getOwnPropertyNames(globalThis)) if (key !== 'redis') try { delete globalThis[key]; } catch {}",
    OWN_HARM,
  ),
  attack("tampering: Error.prepareStackTrace throws", "throw new Error('plain');", ["FUNCTION_FAILED"], {
    topLevel: "Error.prepareStackTrace = () => { throw new Error('hijacked'); };",
  }),
  attack("tampering: Error.prepareStackTrace does not end", "throw new Error('plain');", ["FUNCTION_TIMEOUT"], {
    topLevel: "Error.prepareStackTrace = () => { for (;;); };",
  }),
  attack(
    "tampering: Error.stackTraceLimit of a billion",
    "const dive = (n) => { if (n === 0) throw new Error('deep'); dive(n - 1); }; dive(5000);",
    ["FUNCTION_FAILED"],
    { topLevel: "Error.stackTraceLimit = 1e9;" },
  ),
  attack("tampering: Error.stackTraceLimit that throws", "throw new Error('plain');", ["FUNCTION_FAILED"], {
    topLevel: "Object.defineProperty(Error, 'stackTraceLimit', { get() { throw 1; } });",
  }),
  attack(
    "tampering: toString of Error.prototype",
    "throw new Error('plain');",
    ["FUNCTION_FAILED", "FUNCTION_TIMEOUT"],
    { topLevel: "Error.prototype.toString = () => 'x'.repeat(1 << 28);" },
  ),
  attack(
    "tampering: a setter on Array.prototype that gives a command the id of a run that may write",
    `
  client.block((c) => c.call("ping"));
  return client.run_on_key("k", "w", "never").catch(String);`,
    ["OK"],
    {
      value: "Write command 'set' was called while write is not allowed",
      topLevel: `
const ids = [];
Object.defineProperty(Array.prototype, 3, { configurable: true, set(value) {
  ids.push(this[0]);
  this[0] = ids[0];
  Object.defineProperty(this, 3, { value, writable: true, enumerable: true, configurable: true });
} });`,
    },
  ),
  attack(
    "tampering: the arguments of a command are out of a setter's reach",
    `
  let caught = 0;
  Object.defineProperty(Array.prototype, 3, { set() { caught++; }, configurable: true });
  try { client.block((c) => c.call("echo", "x")); } catch {}
  delete Array.prototype[3];
  return caught;`,
    ["OK"],
    { value: 0n },
  ),

  attackAtLoad("registrations: a million", "for (let i = 0; i < 1e6; i++) redis.register_function('g' + i, () => i);"),
  attackAtLoad("registrations: 20,000", "for (let i = 0; i < 2e4; i++) redis.register_function('g' + i, () => i);"),
  attackAtLoad(
    "registrations: a description of 16 MB",
    "redis.register_function('g', () => 1, { description: 'x'.repeat(1 << 24) });",
  ),
  attackAtLoad("registrations: a name of 16 MB", "redis.register_function('g'.repeat(1 << 24), () => 1);"),
  attackAtLoad(
    "registrations: an RPC method's name of 256 MB",
    "redis.register_rpc_method('m'.repeat(1 << 28), async () => 1);",
  ),
  attackAtLoad(
    "registrations: a name of 256 MB that is refused",
    "redis.register_function('-'.repeat(1 << 28), () => 1);",
  ),
  attackAtLoad(
    "registrations: a list of flags of 2^32",
    "redis.register_function('g', () => 1, { flags: new Proxy([], { get: (_, key) => (key === 'length' ? 2 ** 32 : 'no-writes') }) });",
  ),
  attackAtLoad(
    "registrations: told by a library that replaced push",
    "Array.prototype.push = () => { throw new Error('hijacked'); };",
    ["OK"],
  ),
];
