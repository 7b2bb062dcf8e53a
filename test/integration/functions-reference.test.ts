import test, { type ExecutionContext } from "ava";
import { NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault, type FaultCode } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { Admission } from "../../src/functions/admission.ts";
import { NO_FAULTS } from "../../src/functions/fault-points.ts";
import { LibraryRegistry } from "../../src/functions/library-registry.ts";
import { ShardRunner } from "../../src/functions/shard-runner.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { keyOn } from "../support/keys.ts";
import { shardsWith } from "../support/shards.ts";
import { type LocalSandbox, startSandbox } from "./local-sandbox.ts";
import { API } from "./reference/api.ts";
import { CALLS_FROM_OUTSIDE } from "./reference/calls-from-outside.ts";
import { CLIENTS } from "./reference/clients.ts";
import { LIBRARY_ERRORS, STACKS } from "./reference/library-errors.ts";
import { LIBRARY_TEXT } from "./reference/library-text.ts";
import { REMOTE_CALLS } from "./reference/remote-calls.ts";
import { checkRow, libraryText, type Row } from "./reference/row.ts";
import { REMOTE_TIMEOUT_MS, SHARDS } from "./reference/shards.ts";

/** Two masters, so that there is another shard; and a replica of each, so that there is what must not be asked. */
const MASTERS = 2;

let sandbox: LocalSandbox;
/** With error-verbosity 2. */
let verbose: LocalSandbox;
let cluster: Cluster;
/** Of the masters' coordinators. */
let clients: readonly GearmeshClient[] = [];
let client: GearmeshClient;
let keys: readonly string[] = [];

test.before(async () => {
  [sandbox, verbose] = await Promise.all([
    startSandbox({ runTimeoutMs: 3000, loadTimeoutMs: 2000, lockRedisTimeoutMs: 1000 }),
    startSandbox({ errorVerbosity: 2 }),
  ]);
  cluster = await startPatientCluster({
    shards: MASTERS,
    replicasPerMaster: 1,
    env: {
      GEARMESH_LOAD_TIMEOUT_MS: "2000",
      GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: String(REMOTE_TIMEOUT_MS),
    },
  });
  const masters = cluster.nodes.slice(0, MASTERS);
  keys = masters.map((node) => keyOn(cluster, node, MASTERS));
  clients = masters.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
  const [first] = clients;
  if (!first) throw new Error("two masters were started");
  client = first;
});

test.after.always(async () => {
  for (const each of clients) each.close();
  await cluster?.[Symbol.asyncDispose]();
  await sandbox?.[Symbol.asyncDispose]();
  await verbose?.[Symbol.asyncDispose]();
});

const TABLES = {
  "library text": LIBRARY_TEXT,
  "the API": API,
  "clients inside a function": CLIENTS,
  "remote calls": REMOTE_CALLS,
  "calling from outside": CALLS_FROM_OUTSIDE,
  "errors of a library": LIBRARY_ERRORS,
};

for (const [table, rows] of Object.entries(TABLES)) {
  for (const row of rows) test.serial(`${table}: ${row.name}`, (t) => checkIn(t, sandbox, row));
}

for (const row of STACKS) test.serial(`errors with error-verbosity 2: ${row.name}`, (t) => checkIn(t, verbose, row));

async function checkIn(t: ExecutionContext, where: LocalSandbox, row: Row): Promise<void> {
  let hash = "";
  await checkRow(t, row, {
    load: async () => {
      hash = await where.load(libraryText(row), row.config);
    },
    call: () => where.call(hash, row.call ?? "f", row.args),
  });
  // Each has an isolate of its own.
  where.supervisor.unload(hash);
}

for (const row of SHARDS) {
  test.serial(`on a cluster: ${row.name}`, (t) =>
    checkRow(t, row, {
      load: async () => {
        await client.load(libraryText(row), { replace: true, config: { keys } });
      },
      call: async () => withoutAddresses(await client.call("lib.f")),
      readable: (text) => String(withoutAddresses(text)),
    }),
  );
}

/** With `<0>` in place of the first shard's address. */
function withoutAddresses(reply: unknown): unknown {
  if (Array.isArray(reply)) return reply.map(withoutAddresses);
  if (typeof reply !== "string") return reply;
  return clients.reduce(
    (text, _, index) => text.replaceAll(`127.0.0.1:${cluster.nodes[index]?.redis.port}`, `<${index}>`),
    reply,
  );
}

async function refused(t: ExecutionContext, call: Promise<unknown>, code: FaultCode, message: string): Promise<void> {
  const fault = await t.throwsAsync(call, { instanceOf: Fault });
  t.is(fault?.message, message);
  t.is(fault?.code, code);
}

const COUNTING = `#!js name=counting
let calls = 0;
redis.register_function("next", (client, key) => ++calls);
redis.registerFunction("version", () => redis.config.version, { description: "of the text" });`;

test.serial(
  "library text: globals live as long as the version, and are shared by its calls on one shard",
  async (t) => {
    await client.load(COUNTING);
    const [here = "", there = ""] = keys;
    for (const expected of [1n, 2n]) t.is(await client.call("counting.next", { keys: [here] }), expected);
    for (const expected of [1n, 2n]) t.is(await client.call("counting.next", { keys: [there] }), expected);
    await client.load(COUNTING, { replace: true, config: { version: 2 } });
    t.is(await client.call("counting.next", { keys: [here] }), 1n);
    t.is(await client.call("counting.next", { keys: [there] }), 1n);
  },
);

test.serial("library text: each library has an isolate of its own, with globals of its own", async (t) => {
  await client.load(`#!js name=first_of_two
    globalThis.left = "behind"; Array.prototype.left = "behind";
    redis.register_function("f", () => [globalThis.left, [].left]);`);
  await client.load(`#!js name=second_of_two
    redis.register_function("f", () => [globalThis.left, [].left]);`);
  t.deepEqual(await client.call("first_of_two.f"), ["behind", "behind"]);
  t.deepEqual(await client.call("second_of_two.f"), [null, null]);
});

test.serial("the API: names, kinds, flags and descriptions are what List shows, in either spelling", async (t) => {
  await client.load(
    `#!js name=listed
    redis.register_function("a", () => 1, ["no-writes"]);
    redis.registerFunction("b", () => 1, { description: "of b", flags: ["raw-arguments", "allow-oom"] });
    redis.register_async_function("c", async () => 1);
    redis.registerAsyncFunction("d", async () => 1, { description: "of d" });
    redis.register_remote_function("e", async () => 1);
    redis.registerClusterFunction("g", async () => 1);`,
    { config: { a: 1 } },
  );
  for (const each of clients) {
    const listed = (await each.list()).find(({ name }) => name === "listed");
    t.deepEqual(
      listed?.functions.map(({ name, isAsync, flags, description }) => [name, isAsync, flags.toSorted(), description]),
      [
        ["a", false, ["no-writes"], ""],
        ["b", false, ["allow-oom", "raw-arguments"], "of b"],
        ["c", true, [], ""],
        ["d", true, [], "of d"],
      ],
    );
    t.deepEqual(listed?.remoteFunctions, ["e", "g"]);
    t.is(listed?.config, '{"a":1}');
  }
});

test.serial("the API: redis.log is logged with the library's name", async (t) => {
  const hash = await sandbox.load(`#!js name=talker
redis.log("loading");
redis.register_function("f", () => redis.log("running"));`);
  await sandbox.call(hash, "f");
  t.deepEqual(
    sandbox.logged.filter((line) => line.startsWith("talker: ")),
    ["talker: loading", "talker: running"],
  );
});

test.serial("library text: what is refused changes nothing on any shard", async (t) => {
  await client.load(COUNTING, { replace: true, config: { version: "kept" } });
  const before = await Promise.all(clients.map((each) => each.list({ withText: true })));
  const refusals = [
    [
      "#!lua name=counting",
      "unknown engine 'lua', only js is there: the first line must be like: #!js name=lib api_version=1.0",
    ],
    ["#!js name=counting\n\nthrow new Error('no')", "Error: no (counting:3)"],
    ["#!js name=counting\nlet a = ;", "SyntaxError: Unexpected token ';' (counting:2)"],
    ["#!js name=counting\nfor (;;);", "the library's top level ran longer than 2000 ms (counting:2)"],
    ["#!js name=counting\n1", "Neither function nor other registrations were found."],
    [
      "#!js name=counting\nredis.register_function('x', 1)",
      "Second argument to 'register_function' must be a function (counting:2)",
    ],
  ] as const;
  for (const [text, message] of refusals)
    await refused(t, client.load(text, { replace: true }), "LIBRARY_REFUSED", message);
  for (const [index, each] of clients.entries()) {
    t.deepEqual(await each.list({ withText: true }), before[index]);
    t.is(await each.call("counting.version"), "kept");
  }
});

test.serial("calling from outside: Library X already exists (load without replace)", async (t) => {
  await client.load(COUNTING, { replace: true });
  for (const each of clients)
    await refused(t, each.load(COUNTING), "LIBRARY_EXISTS", "Library counting already exists");
});

test.serial("calling from outside: Unknown library X, Unknown function X", async (t) => {
  await client.load(COUNTING, { replace: true });
  for (const each of clients) {
    await refused(t, each.call("absent.f"), "UNKNOWN_LIBRARY", "Unknown library absent");
    await refused(t, each.call("counting.absent"), "UNKNOWN_FUNCTION", "Unknown function absent");
  }
});

test.serial(
  "calling from outside: Call(lib.func, keys, args) reaches the keys' shard with both, and its typed reply the client",
  async (t) => {
    await client.load(`#!js name=typed
    redis.register_function("get", (client, key, ...args) => [client.call("get", key), key, args]);
    redis.registerFunction("bytes", (client, key, arg) => ({ arg }), ["raw-arguments"]);
    redis.register_function("all", () => [1, 2n ** 64n, 1.5, "é", true, null, undefined, [], new Set([1]), { a: { b: 2 } }]);`);
    for (const key of keys) {
      t.deepEqual(await client.call("typed.get", { keys: [key], args: ["a", "b"] }), [null, key, ["a", "b"]]);
      const bytes = Buffer.from([255, 0]);
      t.deepEqual(
        await client.call("typed.bytes", { keys: [key], args: [bytes], raw: true }),
        new Map([["arg", bytes]]),
      );
    }
    const map = new Map([["a", new Map([["b", 2n]])]]);
    t.deepEqual(await client.call("typed.all"), [1n, 2n ** 64n, 1.5, "é", true, null, null, [], new Set([1n]), map]);
  },
);

test.serial("remote calls: Library X does not exists on remote shard", async (t) => {
  const unused = () => t.fail();
  const runner = new ShardRunner({
    registry: new LibraryRegistry(),
    sandbox: sandbox.supervisor,
    admission: new Admission({ maxCalls: 1, maxNestedCalls: 1, maxCallDepth: 1 }),
    shards: shardsWith({ isActive: () => false }),
    observer: { started: unused, ended: unused },
    isLevel: () => true,
    level: async () => undefined,
    faults: NO_FAULTS,
  });
  const where = { slot: undefined, asking: false, topologyHash: "" };
  const request = { library: "lib", hash: "00".repeat(32), function: "r", args: [], ...where };
  const context = { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 1 };
  await refused(t, runner.remote(request, context), "UNKNOWN_LIBRARY", "Library lib does not exists on remote shard");
});
