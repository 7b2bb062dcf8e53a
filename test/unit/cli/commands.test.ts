import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { ServerUnaryCall, sendUnaryData, UntypedServiceImplementation } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { decodeCallRequest, encodeCallResponse } from "../../../src/functions/call-codec.ts";
import { encodeValue, type Value } from "../../../src/functions/value.ts";
import { statusOf } from "../../../src/grpc/status.ts";
import { AnsweringServer } from "../client/answering-server.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
const TOKEN = "0123456789abcdef";

interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string;
}

/** Runs the command line as a process of its own, with no settings from the tests' environment. */
async function gearmesh(
  args: readonly string[],
  { env = {}, cwd = tmpdir(), input = "" }: RunOptions = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, env: { PATH: process.env["PATH"], ...env } });
  child.stdin.end(input);
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, out, err };
}

type Method = (call: ServerUnaryCall<Record<string, unknown>, object>, done: sendUnaryData<object>) => void;

async function serve(
  t: ExecutionContext,
  methods: Record<string, Method>,
): Promise<Record<"GEARMESH_ADDRESS" | "GEARMESH_SERVER_TOKEN", string>> {
  const { server, address } = await AnsweringServer.start(methods as UntypedServiceImplementation);
  t.teardown(() => server.stop());
  return { GEARMESH_ADDRESS: address, GEARMESH_SERVER_TOKEN: TOKEN };
}

const answering = (value: Value) => ({
  Call: ((_call, done) => done(null, encodeCallResponse(encodeValue(value)))) satisfies Method,
});

async function directory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "gearmesh-cli-"));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

// One after the other: each starts processes, and their calls have deadlines.
test.serial("call sends keys and arguments, and prints the reply for a person or as JSON", async (t) => {
  const seen: unknown[] = [];
  const env = await serve(t, {
    Call: (call, done) => {
      const { function: name, keys, args } = decodeCallRequest(call.request as never);
      seen.push([name, keys.map(String), args.map(String)]);
      done(null, encodeCallResponse(encodeValue(new Map<Value, Value>([["n", 3n]]))));
    },
  });
  const json = await gearmesh(["call", "lib.fn", "-k", "a", "--key", "b", "x", "--json", "--", "-y"], { env });
  t.like(json, { code: 0, out: '{"n":3}\n', err: "" });
  const human = await gearmesh(["call", "lib.fn"], { env });
  t.is(human.out, '{\n  "n": 3\n}\n');
  t.deepEqual(seen, [
    ["lib.fn", ["a", "b"], ["x", "-y"]],
    ["lib.fn", [], []],
  ]);
});

test.serial("a text is printed as it is", async (t) => {
  const env = await serve(t, answering("two\nlines"));
  t.is((await gearmesh(["call", "lib.fn"], { env })).out, "two\nlines\n");
});

test.serial("a fault ends with its exit code and says what to do next; with --json it is JSON on stderr", async (t) => {
  const env = await serve(t, {
    Call: (_call, done) => done(statusOf(new Fault("UNKNOWN_FUNCTION", "there is no lib.fn"))),
  });
  const human = await gearmesh(["call", "lib.fn"], { env });
  t.like(human, { code: 1, out: "" });
  t.regex(human.err, /^error: there is no lib\.fn \(UNKNOWN_FUNCTION\)\n.*gearmesh list/);
  const json = await gearmesh(["call", "lib.fn", "--json"], { env });
  t.deepEqual(JSON.parse(json.err), { code: "UNKNOWN_FUNCTION", message: "there is no lib.fn" });
});

test.serial("no coordinator is 69, a wrong token 77", async (t) => {
  const nowhere = await gearmesh(["list", "--address", "127.0.0.1:1"], { env: { GEARMESH_SERVER_TOKEN: TOKEN } });
  t.is(nowhere.code, 69);
  t.regex(nowhere.err, /cannot be reached: connect ECONNREFUSED 127\.0\.0\.1:1/);
  const env = await serve(t, { List: (_call, done) => done(statusOf(new Fault("UNAUTHENTICATED", "wrong"))) });
  const refused = await gearmesh(["list"], { env });
  t.is(refused.code, 77);
  t.regex(refused.err, /--token-file/);
});

test.serial("wrong usage is 2, names the mistake and the way to help", async (t) => {
  const cases: [string[], RegExp][] = [
    [["cal"], /unknown command 'cal'\n\(Did you mean call\?\)/],
    [["call"], /missing required argument 'library\.function'\n`gearmesh call --help`/],
    [["list", "--jsn"], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [["list", "--timeout", "soon"], /number of ms/],
    [["list"], /no cluster found.*--address.*gearmesh dev/],
    [["list", "--address", "127.0.0.1:1"], /no token.*--token-file/],
    [["load", "no-such-file", "--address", "127.0.0.1:1", "--token", TOKEN], /cannot read no-such-file \(ENOENT\)/],
  ];
  for (const [args, expected] of cases) {
    const { code, err } = await gearmesh(args);
    t.is(code, 2, args.join(" "));
    t.regex(err, expected);
  }
  const json = await gearmesh(["cal", "--json"]);
  t.deepEqual(JSON.parse(json.err), { code: "USAGE", message: "unknown command 'cal'\n(Did you mean call?)" });
});

test.serial("the cluster of gearmesh dev is found from its directory and below", async (t) => {
  const tokens: unknown[] = [];
  const { server, address } = await AnsweringServer.start({
    Call: (call: ServerUnaryCall<object, object>, done: sendUnaryData<object>) => {
      tokens.push(call.metadata.get("authorization")[0]);
      done(null, encodeCallResponse(encodeValue(1n)));
    },
  });
  t.teardown(() => server.stop());
  const root = await directory(t);
  await mkdir(join(root, ".gearmesh"));
  await mkdir(join(root, "below/it"), { recursive: true });
  // The first coordinator is down: the next one answers.
  const nodes = ["127.0.0.1:1", address].map((one, index) => ({ redisPort: index, address: one, opsAddress: "" }));
  await writeFile(join(root, ".gearmesh/cluster.json"), JSON.stringify({ token: "token-of-the-dev-cluster", nodes }));
  const found = await gearmesh(["call", "lib.fn"], {
    cwd: join(root, "below/it"),
    env: { GEARMESH_SERVER_TOKEN: TOKEN },
  });
  t.like(found, { code: 0, out: "1\n", err: "" });
  t.deepEqual(tokens, ["Bearer token-of-the-dev-cluster"]);
});

test.serial("a token comes from a file, the newest first", async (t) => {
  const tokens: unknown[] = [];
  const env = await serve(t, {
    Call: (call, done) => {
      tokens.push(call.metadata.get("authorization")[0]);
      done(null, encodeCallResponse(encodeValue(null)));
    },
  });
  const file = join(await directory(t), "token");
  await writeFile(file, "newer-token-0123456789\nolder-token-0123456789\n");
  t.is((await gearmesh(["call", "lib.fn", "--token-file", file], { env })).out, "null\n");
  t.deepEqual(tokens, ["Bearer newer-token-0123456789"]);
  t.is((await gearmesh(["call", "lib.fn", "--token-file", file, "--token", TOKEN], { env })).code, 2);
});

test.serial("load reads a file or standard input and passes its options on", async (t) => {
  const seen: unknown[] = [];
  const env = await serve(t, {
    Load: (call, done) => {
      seen.push(call.request);
      done(null, { library: "lib", hash: "abcdef0123456789", revision: 7, pending: ["10.0.0.1:7379"] });
    },
  });
  const loaded = await gearmesh(["load", "-", "--replace", "--config", '{"a":1}'], { env, input: "#!js name=lib" });
  t.is(loaded.out, "loaded lib, revision 7, hash abcdef012345\nnot adopted yet by 10.0.0.1:7379\n");
  t.like(seen[0], { text: "#!js name=lib", config: '{"a":1}', replace: true, allowMissing: false });
});

test.serial("list, delete, rollback, topology and refresh show what the coordinator says", async (t) => {
  const shard = { id: "0123456789abcdef", host: "10.0.0.1", port: 6379, coordinatorAddress: "10.0.0.1:7379", epoch: 1 };
  const slots = [
    { start: 0, end: 5 },
    { start: 9, end: 9 },
  ];
  const env = await serve(t, {
    List: (_call, done) =>
      done(null, {
        libraries: [
          {
            name: "lib",
            revision: 2,
            functions: [
              {
                name: "fn",
                isAsync: true,
                flags: ["no-writes"],
                counters: { calls: 12, errors: 1, totalSeconds: 0.25 },
              },
            ],
            remoteFunctions: ["far"],
            rpcMethods: ["room.join", "\u001b[2J"],
            rpcCounters: [{ calls: 3, errors: 2, totalSeconds: 0.5 }],
            tasks: ["mail"],
            taskCounters: [{ calls: 7, errors: 0, totalSeconds: 1 }],
            taskStages: ["before_work"],
          },
        ],
      }),
    Delete: (_call, done) => done(null, { revision: 3, pending: [] }),
    Rollback: ({ request }, done) =>
      done(null, {
        hash: "0123456789abcdef",
        revision: 5,
        restoredRevision: 2,
        pending: request["allowMissing"] ? ["h:1"] : [],
      }),
    GetTopology: (_call, done) =>
      done(null, {
        topology: {
          nodeName: "gearmesh-1",
          role: "ROLE_ACTIVE",
          mode: "MODE_AUTO",
          version: 4,
          hash: "ff",
          shards: [{ ...shard, slots, link: "LINK_STATE_SELF" }],
        },
      }),
    RefreshCluster: (_call, done) =>
      done(null, {
        shards: [
          { shardId: "a", coordinatorAddress: "h:1", version: 4, hash: "ff" },
          { shardId: "b", coordinatorAddress: "h:2", fault: { code: "UNAVAILABLE", message: "no link" } },
        ],
      }),
  });
  const list = await gearmesh(["list"], { env });
  t.is(
    list.out,
    `LIBRARY  REVISION  FUNCTION     KIND        FLAGS      CALLS  ERRORS  SECONDS
lib      2         fn           async       no-writes  12     1       0.250
lib      2         far          remote                 0      0       0.000
lib      2         room.join    method                 3      2       0.500
lib      2         \\u{1b}[2J    method                 0      0       0.000
lib      2         mail         task                   7      0       1.000
lib      2         before_work  middleware             0      0       0.000
`,
  );
  t.is((await gearmesh(["delete", "lib"], { env })).out, "deleted lib, revision 3\n");
  const rolledBack = "rolled back lib: revision 5 is what revision 2 was, hash 0123456789ab\n";
  t.is((await gearmesh(["rollback", "lib"], { env })).out, rolledBack);
  const missing = await gearmesh(["rollback", "lib", "--allow-missing"], { env });
  t.is(missing.out, `${rolledBack}not adopted yet by h:1\n`);
  const asJson = JSON.parse((await gearmesh(["rollback", "lib", "--json"], { env })).out);
  t.like(asJson, { library: "lib", revision: 5, restoredRevision: 2, pending: [] });
  const topology = await gearmesh(["topology"], { env });
  t.regex(topology.out, /^gearmesh-1, active, auto mode, topology 4 \(ff\)\n/);
  t.regex(topology.out, /0123456789ab {2}10\.0\.0\.1:6379 {2}10\.0\.0\.1:7379 {2}0-5,9 {2}self/);
  const refresh = await gearmesh(["refresh", "--json"], { env });
  t.is(refresh.code, 1);
  t.like(JSON.parse(refresh.out), { 1: { shardId: "b", fault: { code: "UNAVAILABLE", message: "no link" } } });
});

test.serial("config shows settings and sources without secrets; wrong ones are 78, all at once", async (t) => {
  const shown = await gearmesh(["config", "--json", "--namespace", "blue"], { env: { GEARMESH_SERVER_TOKEN: TOKEN } });
  t.is(shown.code, 0, shown.err);
  const rows: { key: string }[] = JSON.parse(shown.out);
  t.deepEqual(
    rows.find(({ key }) => key === "namespace"),
    { key: "namespace", value: "blue", source: "flag" } as never,
  );
  t.false(shown.out.includes(TOKEN));
  for (const name of ["config", "serve"]) {
    const wrong = await gearmesh([name, "--nope", "1", "--max-calls=0"], { env: { GEARMESH_SERVER_TOKEN: "short" } });
    t.is(wrong.code, 78);
    t.regex(wrong.err, /unknown flag --nope\n.*GEARMESH_SERVER_TOKEN must be.*\n.*--max-calls must be/);
  }
});

test.serial(
  "serve ends with 69 where its address is taken, and with 0 on SIGTERM although Redis is away",
  async (t) => {
    const { server, address } = await AnsweringServer.start({});
    t.teardown(() => server.stop());
    const settings = ["--redis", "127.0.0.1:1", "--ops-listen", "127.0.0.1:0", "--log-level", "info"];
    const env = { GEARMESH_SERVER_TOKEN: TOKEN };
    const taken = await gearmesh(["serve", ...settings, "--listen", address], { env });
    t.is(taken.code, 69);
    t.regex(taken.err, /^error: cannot listen on .* \(UNAVAILABLE\)\n$/m);
    const child = spawn(process.execPath, [MAIN, "serve", ...settings, "--listen", "127.0.0.1:0"], {
      env: { ...env, PATH: process.env["PATH"] },
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    child.stdout.once("data", () => child.kill("SIGTERM"));
    t.is(await ended, 0);
  },
);

test.serial(
  "cluster start refuses what instances cannot share, and secrets that all could read, at once",
  async (t) => {
    const flags = [
      "--redis",
      "127.0.0.1:1,nowhere",
      "--listen",
      "127.0.0.1:7",
      "--server-token",
      TOKEN,
      "--max-calls",
      "0",
    ];
    const { code, err } = await gearmesh(["cluster", "start", "--directory", await directory(t), ...flags]);
    t.is(code, 78);
    t.regex(err, /--redis must be .*"nowhere"/);
    t.regex(err, /--max-calls must be/);
    t.false(err.includes(TOKEN));
    const env = { GEARMESH_SERVER_TOKEN: TOKEN };
    const shared = await gearmesh(["cluster", "start", "--directory", await directory(t), ...flags.slice(2, 6)], {
      env,
    });
    t.is(shared.code, 78);
    t.regex(shared.err, /listen is set, but each instance has its own.*\n.*--server-token would show a secret/);
  },
);

test.serial(
  "cluster start waits for a Redis that is away, and ends with 0 on SIGTERM; without one, status is 69",
  async (t) => {
    const state = await directory(t);
    const settings = ["--redis", "127.0.0.1:1", "--directory", state, "--log-format", "json"];
    const child = spawn(process.execPath, [MAIN, "cluster", "start", ...settings], {
      env: { GEARMESH_SERVER_TOKEN: TOKEN, PATH: process.env["PATH"] },
    });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    t.regex(String(line), /no instance can be started yet: Redis at 127\.0\.0\.1:1 did not tell its topology/);
    const waiting = await gearmesh(["cluster", "status", "--directory", state, "--json"]);
    t.is(waiting.code, 69);
    t.like(JSON.parse(waiting.out), { pid: child.pid, instances: [] });
    child.kill("SIGTERM");
    t.is(await ended, 0);
    const none = await gearmesh(["cluster", "status", "--directory", state]);
    t.is(none.code, 69);
    t.regex(none.err, /no cluster runs in .*gearmesh cluster start/);
  },
);
