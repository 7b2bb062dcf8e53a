import test from "ava";
import { CommandGuard } from "../../src/functions/guard.ts";
import { RedisErrorReply } from "../../src/functions/shard-redis.ts";
import { parseCommandTable } from "../../src/redis/command-table.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { startRedis } from "./local-redis.ts";

test("the guard judges by what the server says of its commands", async (t) => {
  await using redis = await startRedis();
  const connection = new RespConnection(redis, { name: "gearmesh:test" });
  t.teardown(() => connection.close());
  connection.connect();
  await connection.whenReady();
  const table = parseCommandTable(await connection.command(["COMMAND"]));
  t.true(table.size > 200);
  t.true(table.get("get")?.flags.has("readonly"));
  t.true(table.get("config|get")?.categories.has("@admin"));

  const guard = new CommandGuard(table);
  const check = (command: string, readOnly = false) => guard.check(command.split(" "), { readOnly });
  const harmless = "get k,dbsize,sort_ro k,scan 0,hgetall h,time,object encoding k,xread streams s 0,cluster keyslot k";
  for (const command of harmless.split(",")) t.is(check(command, true), undefined, command);
  for (const command of "set k v,del k,sort k,sort k store d,xadd s * a b,eval s 0,fcall f 0".split(",")) {
    t.is(check(command), undefined, command);
    t.regex(check(command, true) ?? "", /^Write command/, command);
  }
  const refused =
    "shutdown,config set a b,debug sleep 1,cluster reset,client kill id 1,client reply off,hello 2,select 1,auth x,multi,exec,watch k," +
    "subscribe c,monitor,blpop k 0,wait 1 0,flushall,flushdb,swapdb 0 1,keys *,info,lastsave,restore k 0 x,migrate h 1 k 0 1,replicaof no one,acl whoami,script flush,reset,quit";
  for (const command of refused.split(",")) t.regex(check(command) ?? "", /is not allowed in functions; /, command);

  const dangerous = [...table.values()].filter(({ categories }) => categories.has("@dangerous"));
  t.true(dangerous.length > 50);
  const passing = dangerous.filter(({ name }) => check(name.replace("|", " ")) === undefined).map(({ name }) => name);
  t.deepEqual(passing.toSorted(), ["sort", "sort_ro"], "of what is dangerous nothing else passes");
});

test("an error in place of the table is told", (t) => {
  t.throws(() => parseCommandTable(new RedisErrorReply("NOPERM no")), { message: /NOPERM no/ });
});
