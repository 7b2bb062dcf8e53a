import { attack, attackAtLoad, attackByMethod, type Ending, type HostileCase } from "./hostile-case.ts";

/** Refused; what it took to get there may use up its time. */
const REFUSED: readonly Ending[] = ["RESOURCE_EXHAUSTED", "FUNCTION_TIMEOUT"];
const ENDED: readonly Ending[] = ["RESOURCE_EXHAUSTED", "FUNCTION_FAILED", "FUNCTION_TIMEOUT", "DEADLINE_EXCEEDED"];
const NEVER: readonly Ending[] = ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"];
const ANY: readonly Ending[] = [...ENDED, "OK", "INDETERMINATE"];

/** Too much of what is allowed: sizes, counts, and what is asked of Redis and of other shards. */
export const FLOOD_CASES: readonly HostileCase[] = [
  attack("size: a result beyond the limit", 'return "x".repeat(2 << 20);', REFUSED),
  attack("size: a buffer beyond the limit", "return new ArrayBuffer(8 << 20);", REFUSED),
  attack("size: 100 views of one buffer", "const v = new Uint8Array(1 << 19); return new Array(100).fill(v);", REFUSED),
  attack(
    "size: an array that is shared 10^9 times",
    "let a = [1]; for (let i = 0; i < 9; i++) a = new Array(10).fill(a); return a;",
    REFUSED,
  ),
  attack("size: a sparse array of 2^32", "const a = []; a.length = 2 ** 32 - 1; return a;", REFUSED),
  attack("size: a key of 64 MB", 'return { ["k".repeat(1 << 26)]: 1 };', REFUSED),
  attack("size: an error's text of 256 MB", 'throw "x".repeat(1 << 28);', [
    "FUNCTION_TIMEOUT",
    "FUNCTION_FAILED",
    "RESOURCE_EXHAUSTED",
  ]),
  attack("size: an error's message of 64 MB", 'throw new Error("x".repeat(1 << 26));', [
    "FUNCTION_TIMEOUT",
    "FUNCTION_FAILED",
    "RESOURCE_EXHAUSTED",
  ]),
  attack(
    "size: a log line of 256 MB",
    'redis.log("x".repeat(1 << 28)); return "logged";',
    ["OK", "RESOURCE_EXHAUSTED", "FUNCTION_TIMEOUT"],
    { value: "logged" },
  ),
  attackAtLoad("size: what the top level throws is 64 MB", 'throw "x".repeat(1 << 26);'),
  attack("size: the name of a remote function is 64 MB", 'return client.run_on_key("k", "r".repeat(1 << 26));', [
    ...REFUSED,
    "FUNCTION_FAILED",
  ]),
  attack("size: the key of a remote call is 256 MB", 'return client.run_on_key("k".repeat(1 << 28), "r", 1);', [
    ...REFUSED,
    "FUNCTION_FAILED",
  ]),
  attack(
    "size: an argument of a remote call is 64 MB",
    'return client.run_on_key("k", "r", "x".repeat(1 << 26));',
    REFUSED,
  ),
  attack(
    "size: a hundred thousand arguments of a remote call",
    'return client.run_on_key("k", "r", ...new Array(1e5).fill(1));',
    ANY,
  ),
  attack(
    "size: a result of a remote function beyond the limit",
    'return client.run_on_key("k", "big").catch(String);',
    ["OK"],
    {
      topLevel: 'redis.register_remote_function("big", async () => "x".repeat(1 << 22));',
      value: "the result takes more than 1048576 bytes",
    },
  ),
  attackByMethod("size: a method's result beyond the limit", 'return "x".repeat(2 << 20);', REFUSED),
  attackByMethod("size: a method's result of 400 MB", 'return "x".repeat(400 * 1024 * 1024);', REFUSED),
  attackByMethod(
    "size: JSON of a method's result that its toJSON makes large",
    'return { toJSON: () => new Array(1 << 20).fill("xx") };',
    REFUSED,
  ),
  attackByMethod("size: a method's error of 64 MB", 'throw new Error("x".repeat(1 << 26));', [
    ...REFUSED,
    "METHOD_FAILED",
  ]),
  attack("size: the type of a message is 256 MB", 'return client.publish("t".repeat(1 << 28), 1);', REFUSED),
  attack("size: a message of 64 MB", 'return client.publish("t", "x".repeat(1 << 26));', REFUSED),
  attack(
    "size: an argument of a command is 256 MB",
    'return client.block((c) => c.call("echo", "x".repeat(1 << 28)));',
    ANY,
  ),
  attack(
    "size: arguments of a command are 100 times 8 MB",
    'const s = "x".repeat(1 << 23); return client.block((c) => c.call("exists", ...new Array(100).fill(s)));',
    ANY,
  ),
  attack(
    "size: a command of a hundred thousand arguments",
    'return client.block((c) => c.call("exists", ...new Array(1e5).fill("{k}")));',
    ANY,
  ),
  attack(
    "size: a reply of 128 MB",
    'return client.block((c) => { c.call("setrange", "{big}", String((1 << 27) - 1), "x"); c.call("pexpire", "{big}", "3000"); return c.call("get", "{big}").length; });',
    ANY,
    { costsConnection: true },
  ),
  attack(
    "size: replies of 16 MB that are all kept",
    'return client.block((c) => { c.call("setrange", "{kept}", String((1 << 24) - 1), "x"); c.call("pexpire", "{kept}", "3000"); const all = []; for (;;) all.push(c.callRaw("get", "{kept}")); });',
    ANY,
  ),
  attack(
    "size: a reply of half a million items",
    `
  return client.block((c) => {
    const many = new Array(5000).fill("item");
    for (let i = 0; i < 100; i++) c.call("rpush", "{list}", ...many);
    c.call("pexpire", "{list}", "3000");
    return c.call("lrange", "{list}", "0", "-1").length;
  });`,
    ANY,
  ),

  attack(
    "flood: rejections that nobody handles",
    'for (let i = 0; i < 5000; i++) Promise.reject(new Error("lost " + i)); return "done";',
    ["OK"],
    { value: "done" },
  ),
  attack(
    "flood: rejections with errors that throw and loop",
    `
  for (let i = 0; i < 10; i++) Promise.reject({ toString() { throw 1; } });
  Promise.reject(Object.defineProperty(new Error("x"), "stack", { get() { throw 1; } }));
  Promise.reject(new Proxy({}, { get() { for (;;); } }));
  return "done";`,
    ["OK", "FUNCTION_TIMEOUT"],
    { value: "done" },
  ),
  attack(
    "flood: rejections after the run's end",
    'Promise.resolve().then(() => { for (let i = 0; i < 1000; i++) Promise.reject(i); }); return "done";',
    ["OK"],
    { value: "done" },
  ),
  attack(
    "flood: a million promises",
    'let n = 0; for (let i = 0; i < 1e6; i++) Promise.resolve(i).then(() => n++); return "done";',
    ANY,
  ),
  attack(
    "flood: log lines",
    'for (let i = 0; i < 20000; i++) redis.log("line " + i); return "done";',
    ["OK", "FUNCTION_TIMEOUT"],
    { value: "done" },
  ),
  attack(
    "flood: log lines of the longest kind, by 20 calls",
    'const s = "x".repeat(4096); for (;;) redis.log(s);',
    ["FUNCTION_TIMEOUT", "DEADLINE_EXCEEDED"],
    { called: 20 },
  ),
  attack(
    "flood: remote calls without a wait",
    'const all = []; for (let i = 0; i < 20000; i++) all.push(client.run_on_key("k" + i, "r", i)); return (await Promise.all(all)).length;',
    REFUSED,
  ),
  attack(
    "flood: remote calls, each refusal caught",
    'const all = []; for (;;) all.push(client.run_on_key("k", "r", 1).catch(() => 0));',
    ENDED,
    { called: 4 },
  ),
  attack(
    "flood: remote calls of 512 KB each",
    'const s = "x".repeat(1 << 19); const all = []; for (let i = 0; i < 1000; i++) all.push(client.run_on_key("k", "r", s).then(() => 1, () => 0)); return (await Promise.all(all)).length;',
    ANY,
    { called: 2 },
  ),
  attack(
    "flood: remote calls of 1 MB each, and nobody waits",
    'const s = "x".repeat((1 << 20) - 2); for (let i = 0; i < 1000; i++) client.run_on_key("k", "r", s).catch(() => 0); return "done";',
    ANY,
  ),
  attack(
    "flood: messages without a wait",
    'const all = []; for (let i = 0; i < 20000; i++) all.push(client.publish("t" + i, i)); return (await Promise.all(all)).length;',
    REFUSED,
  ),
  attack(
    "flood: messages, each refusal caught",
    'for (;;) try { client.publish("t", 1).catch(() => 0); } catch {}',
    ["FUNCTION_TIMEOUT", "DEADLINE_EXCEEDED"],
    { called: 4 },
  ),
  attack(
    "flood: messages one after the other, without end",
    'for (let i = 0; ; i++) await client.publish("t", i).catch(() => 0);',
    ["DEADLINE_EXCEEDED"],
    { called: 4 },
  ),
  attack(
    "flood: messages of 1 MB each, and nobody waits",
    'const s = "x".repeat((1 << 20) - 8); for (let i = 0; i < 1000; i++) client.publish("t", s).catch(() => 0); return "done";',
    ANY,
  ),
  attackByMethod("flood: 300 calls of a method that never settle", "await new Promise(() => {});", NEVER, {
    called: 300,
  }),
  attack(
    "flood: calls of every shard",
    'const all = []; for (let i = 0; i < 1000; i++) all.push(client.run_on_all_shards("r", i)); return (await Promise.all(all)).length;',
    ANY,
  ),
  attack("flood: a remote function that calls itself twice", 'return client.run_on_key("k", "fork", 0);', ANY, {
    topLevel:
      'redis.register_remote_function("fork", async (client, n) => { const both = [client.run_on_key("k", "fork", n + 1), client.run_on_key("k", "fork", n + 1)]; return (await Promise.allSettled(both)).length; });',
  }),
  attack("flood: a remote function that calls itself without end", 'return client.run_on_key("k", "down", 0);', ENDED, {
    topLevel: 'redis.register_remote_function("down", async (client, n) => client.run_on_key("k", "down", n + 1));',
  }),
  attack(
    "flood: 300 calls at once that never settle",
    "await new Promise(() => {});",
    ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"],
    { called: 300 },
  ),
  attack(
    "flood: background work that outlives its run",
    'client.block((c) => { for (let i = 0; i < 100; i++) c.executeAsync(async (a) => { for (;;) await a.run_on_key("k", "r", i); }).catch(() => 0); }); return "done";',
    ["OK"],
    { value: "done" },
  ),

  attack("client: a write by a remote function", 'return client.run_on_key("k", "w", "k").catch(String);', ["OK"], {
    value: "Write command 'set' was called while write is not allowed",
  }),
  attack(
    "client: a write by a script of a remote function",
    'return client.run_on_key("k", "s").catch(String);',
    ["OK"],
    {
      topLevel: `redis.register_remote_function("s", async (client) => client.block((c) => c.call("eval", "return redis.call('set', 'k', '1')", "0")));`,
      value: "Write command 'eval' was called while write is not allowed",
    },
  ),
  attack("client: kept past its block", 'let kept; client.block((c) => { kept = c; }); return kept.call("ping");', [
    "FUNCTION_FAILED",
  ]),
  attack(
    "client: kept by another call",
    "kept ??= client; return kept.block(() => 'done');",
    ["OK", "FUNCTION_FAILED"],
    { called: 4, topLevel: "let kept;", value: "done" },
  ),
  attack("client: a block within a block", "return client.block(() => client.block(() => 1));", ["FUNCTION_FAILED"]),
  attack(
    "client: a block whose client is used from a microtask",
    "let late; client.block((c) => { late = Promise.resolve().then(() => c.call('ping')); }); return late;",
    ["FUNCTION_FAILED"],
  ),
  attack(
    "client: commands that end, flush or rename what is ours",
    `
  return client.block((c) => {
    let passed = [];
    for (const command of [["shutdown"], ["flushall"], ["flushdb"], ["config", "set", "maxmemory", "1"], ["debug", "segfault"], ["script", "flush"], ["multi"], ["subscribe", "x"], ["client", "kill", "type", "normal"], ["acl", "setuser", "x"], ["cluster", "reset"], ["replicaof", "no", "one"], ["monitor"], ["quit"], ["auth", "x"], ["hello", "2"], ["select", "0"], ["wait", "1", "0"]])
      try { c.call(...command); passed.push(command[0]); } catch {}
    return passed.join();
  });`,
    ["OK"],
    { value: "" },
  ),
];
