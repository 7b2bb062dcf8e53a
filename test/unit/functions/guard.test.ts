import { Buffer } from "node:buffer";
import test from "ava";
import { CommandGuard, type CommandInfo, type CommandTable } from "../../../src/functions/guard.ts";

/** As Redis 7.0 describes them. */
const RECORDED: readonly [name: string, flags: string, categories: string][] = [
  ["get", "readonly fast", "@read @string @fast"],
  ["set", "write denyoom", "@write @string @slow"],
  ["keys", "readonly", "@keyspace @read @slow @dangerous"],
  ["sort", "write denyoom movablekeys", "@write @set @sortedset @list @slow @dangerous"],
  ["sort_ro", "readonly movablekeys", "@read @set @sortedset @list @slow @dangerous"],
  ["flushall", "write", "@keyspace @write @slow @dangerous"],
  ["migrate", "write movablekeys", "@keyspace @write @slow @dangerous"],
  ["info", "loading stale", "@slow @dangerous"],
  ["lastsave", "loading stale fast", "@admin @fast @dangerous"],
  ["restore", "write denyoom", "@keyspace @write @slow @dangerous"],
  ["bitfield_ro", "readonly fast", "@read @bitmap @fast"],
  ["georadius_ro", "readonly movablekeys", "@read @geo @slow"],
  ["fcall_ro", "readonly noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting"],
  ["pfcount", "readonly may_replicate", "@read @hyperloglog @slow"],
  ["publish", "pubsub loading stale fast", "@pubsub @fast"],
  ["subscribe", "pubsub noscript loading stale", "@pubsub @slow"],
  ["eval", "noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting"],
  ["eval_ro", "readonly noscript stale skip_monitor no_mandatory_keys movablekeys", "@slow @scripting"],
  ["multi", "noscript loading stale fast", "@fast @transaction"],
  ["blpop", "write noscript blocking", "@write @list @slow @blocking"],
  ["blmpop", "write blocking movablekeys", "@write @list @slow @blocking"],
  ["xread", "readonly blocking movablekeys", "@read @stream @slow @blocking"],
  ["xreadgroup", "write blocking movablekeys", "@write @stream @slow @blocking"],
  ["ping", "fast", "@fast @connection"],
  ["client", "", "@slow"],
  ["client|id", "noscript loading stale", "@slow @connection"],
  ["client|reply", "noscript loading stale", "@slow @connection"],
  ["role", "noscript loading stale fast", "@admin @fast @dangerous"],
  ["select", "loading stale fast", "@fast @connection"],
  ["shutdown", "admin noscript loading stale", "@admin @slow @dangerous"],
  ["config", "", "@slow"],
  ["config|get", "admin noscript loading stale", "@admin @slow @dangerous"],
  ["config|set", "admin noscript loading stale", "@admin @slow @dangerous"],
  ["cluster", "", "@slow"],
  ["cluster|info", "stale", "@slow"],
  ["cluster|reset", "admin noscript stale", "@admin @slow @dangerous"],
  // As a module may have it.
  ["box", "", "@slow"],
  ["box|read", "readonly", "@read @slow"],
  ["box|wipe", "readonly", "@read @slow @dangerous"],
  ["xgroup", "", "@slow"],
  ["xgroup|create", "write denyoom", "@write @stream @slow"],
  ["command", "loading stale", "@slow @connection"],
  ["command|count", "loading stale", "@slow @connection"],
];

const table: CommandTable = new Map(
  RECORDED.map(([name, flags, categories]): [string, CommandInfo] => [
    name,
    {
      name,
      flags: new Set(flags.split(" ")),
      categories: new Set(categories.split(" ")),
      isContainer: RECORDED.some(([other]) => other.startsWith(`${name}|`)),
    },
  ]),
);
const guard = new CommandGuard(table);
const writing = (command: string) => guard.check(command.split(" "), { readOnly: false });
const reading = (command: string) => guard.check(command.split(" "), { readOnly: true });

for (const command of [
  "get k",
  "sort_ro k",
  "bitfield_ro k get u8 0",
  "georadius_ro k 0 0 1 m",
  "fcall_ro f 0",
  "pfcount k",
  "publish c m",
  "eval_ro s 0",
  "ping",
  "command count",
  "cluster info",
  "box read",
]) {
  test(`${command} is allowed, also while only reading`, (t) => {
    t.is(writing(command), undefined);
    t.is(reading(command), undefined);
  });
}

for (const command of [
  "set k v",
  "sort k",
  "sort k store d",
  "eval s 0",
  "xgroup create k g 0",
  "xreadgroup group block c streams k 0",
]) {
  test(`${command} is allowed, but not while only reading`, (t) => {
    t.is(writing(command), undefined);
    t.regex(reading(command) ?? "", /^Write command '[a-z|]+' was called while write is not allowed$/);
  });
}

for (const [command, reason] of [
  ["shutdown", /it administers the server/],
  ["config get dir", /^Command 'config\|get' is not allowed in functions; it administers the server/],
  ["select 1", /it is about the connection/],
  ["client id", /it is about the connection/],
  ["role", /it administers the server/],
  ["lastsave", /it administers the server/],
  ["cluster reset", /it administers the server/],
  ["multi", /it would take the connection from all other functions$/],
  ["subscribe c", /it would take the connection from all other functions$/],
  ["blpop k 0", /it may wait/],
  ["blmpop 0 1 k LEFT", /it may wait/],
  ["xread count 1 BLOCK 0 streams k 0", /it may wait/],
  ...["flushall", "migrate h 1 k 0 1", "restore k 0 v", "keys *", "info", "box wipe"].map(
    (command) => [command, /Redis counts it among the dangerous ones\. The operator can allow it by name$/] as const,
  ),
] as const) {
  test(`${command} is refused`, (t) => {
    t.regex(writing(command) ?? "", reason);
    const isWrite = table.get(command.split(" ", 1)[0] ?? "")?.flags.has("write");
    t.regex(
      reading(command) ?? "",
      isWrite ? /^Write command '[a-z]+' was called while write is not allowed$/ : reason,
    );
  });
}

test("a stream called block is no option", (t) => {
  t.is(writing("xread streams block 0"), undefined);
});

test("names are compared without case, and may be bytes", (t) => {
  t.regex(guard.check([Buffer.from("Config"), Buffer.from("GeT"), "dir"], { readOnly: false }) ?? "", /config\|get/);
  t.regex(
    guard.check([new Uint8Array(Buffer.from("SET")), "k", "v"], { readOnly: true }) ?? "",
    /^Write command 'set'/,
  );
});

test("Redis answers for what is unknown, except while only reading", (t) => {
  t.is(writing("nonesuch"), undefined);
  t.regex(reading("nonesuch") ?? "", /'nonesuch' is unknown/);
  t.is(writing("config nonesuch"), undefined);
  t.regex(reading("config nonesuch") ?? "", /'config\|nonesuch' is unknown/);
  t.is(guard.check([], { readOnly: false }), undefined);
});

test("the operator allows by name, one subcommand or all of them", (t) => {
  const one = new CommandGuard(table, new Set(["CONFIG|GET", "flushall", "multi", "client"]));
  t.is(one.check(["CONFIG", "GET", "dir"], { readOnly: true }), undefined);
  t.regex(one.check(["CONFIG", "SET", "dir", "x"], { readOnly: false }) ?? "", /not allowed in functions/);
  t.is(one.check(["FLUSHALL"], { readOnly: false }), undefined);
  t.is(one.check(["CLIENT", "ID"], { readOnly: false }), undefined);
  t.regex(one.check(["FLUSHALL"], { readOnly: true }) ?? "", /^Write command 'flushall'/);
  // These would break the connection for everyone.
  t.regex(one.check(["MULTI"], { readOnly: false }) ?? "", /not allowed in functions/);
  t.regex(one.check(["CLIENT", "REPLY", "OFF"], { readOnly: false }) ?? "", /not allowed in functions/);
  const dangerous = new CommandGuard(table, new Set(["keys", "BOX|WIPE"]));
  for (const command of [
    ["KEYS", "*"],
    ["BOX", "WIPE"],
  ])
    t.is(dangerous.check(command, { readOnly: true }), undefined);
  t.regex(dangerous.check(["INFO"], { readOnly: false }) ?? "", /not allowed in functions/);
  const all = new CommandGuard(table, new Set(["config"]));
  t.is(all.check(["CONFIG", "SET", "dir", "x"], { readOnly: false }), undefined);
});

test("what Redis is to refuse as well is what is refused whatever its arguments, of containers their subcommands", (t) => {
  const refused = guard.refused();
  for (const name of ["keys", "info", "lastsave", "restore", "flushall", "config|get", "cluster|reset", "box|wipe"])
    t.true(refused.includes(name), name);
  for (const name of ["sort", "sort_ro", "cluster", "cluster|info", "box", "box|read", "xread", "eval", "get"])
    t.false(refused.includes(name), name);
  t.false(new CommandGuard(table, new Set(["keys"])).refused().includes("keys"));
});
