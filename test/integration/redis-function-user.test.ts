import test, { type ExecutionContext } from "ava";
import type { Redis } from "ioredis";
import { CommandGuard } from "../../src/functions/guard.ts";
import { RedisErrorReply, type RedisReply } from "../../src/functions/shard-redis.ts";
import { parseCommandTable } from "../../src/redis/command-table.ts";
import { createControlClient } from "../../src/redis/control-client.ts";
import { FunctionUser, functionUsername } from "../../src/redis/function-user.ts";
import type { RedisEndpoint } from "../../src/redis/redis-endpoint.ts";
import { RespConnection } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "./local-redis.ts";

const USERNAME = functionUsername("test");
/**
 * Those who have not said yet who they are must be able to call the first four, so Redis lets everyone; the last one is what the sandbox process says
 * itself before a function's command.
 */
const ALLOWED_ALL_THE_SAME = new Set(["auth", "hello", "quit", "reset", "asking"]);

async function control(t: ExecutionContext, endpoint: RedisEndpoint): Promise<Redis> {
  const client = createControlClient(endpoint, {
    reconnect: { initialMs: 20, maxMs: 100 },
    onError: () => undefined,
  });
  t.teardown(() => client.disconnect());
  await client.connect();
  return client;
}

function functionUser(client: Redis, allowedCommands: readonly string[] = []): FunctionUser {
  const onRefused = (error: string) => {
    throw new Error(error);
  };
  return new FunctionUser({ client, namespace: "test", allowedCommands, otherwise: {}, onRefused });
}

function connectAs(t: ExecutionContext, endpoint: RedisEndpoint, user: FunctionUser): RespConnection {
  const connection = new RespConnection(endpoint, {
    name: "gearmesh:test",
    limits: { reconnect: { initialMs: 20, maxMs: 100 } },
    credentials: () => user.credentials(),
  });
  t.teardown(() => connection.close());
  connection.connect();
  return connection;
}

/** The shortest call of each command that is no container. */
async function shortestCalls(client: Redis): Promise<readonly (readonly string[])[]> {
  type Entry = [name: string, arity: number, ...rest: unknown[]];
  const leaves = (entries: readonly Entry[]): Entry[] =>
    entries.flatMap((entry) => {
      const children = (entry[9] ?? []) as readonly Entry[];
      return children.length > 0 ? leaves(children) : [entry];
    });
  return leaves((await client.call("COMMAND")) as Entry[]).map(([name, arity]) => {
    const words = name.split("|");
    return [...words, ...Array.from({ length: Math.abs(arity) - words.length }, () => "1")];
  });
}

for (const allowedCommands of [[], ["config|get", "FLUSHALL", "keys", "client", "blpop", "multi", "nonesuch"]]) {
  test(`Redis refuses what the guard refuses, and nothing else; allowed: ${allowedCommands}`, async (t) => {
    await using redis = await startRedis();
    const client = await control(t, redis);
    await functionUser(client, allowedCommands).credentials();
    const table = parseCommandTable((await client.callBuffer("COMMAND")) as RedisReply);
    const guard = new CommandGuard(table, new Set(allowedCommands));
    const calls = await shortestCalls(client);
    t.true(calls.length > 200);
    let refused = 0;
    for (const call of calls) {
      const [name = ""] = call;
      const byGuard = guard.check(call, { readOnly: false }) !== undefined;
      const byRedis = (await client.call("ACL", "DRYRUN", USERNAME, ...call)) !== "OK";
      t.is(byRedis, byGuard && !ALLOWED_ALL_THE_SAME.has(name), call.join(" "));
      if (byRedis) refused++;
    }
    t.true(refused > 60);
  });
}

test("Redis refuses it within scripts, too, and whoever got past the guard", async (t) => {
  await using redis = await startRedis();
  const connection = connectAs(t, redis, functionUser(await control(t, redis)));
  await connection.whenReady();
  t.deepEqual(await connection.command(["SET", "k", "v"]), Buffer.from("OK"));
  const scripts = ["flushall", "info", "keys', '*"].map((call) => ["EVAL", `return redis.call('${call}')`, "0"]);
  for (const command of [["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ...scripts]) {
    const reply = await connection.command(command);
    t.true(reply instanceof RedisErrorReply && /NOPERM|can't run this command/.test(reply.message), command.join(" "));
  }
  t.deepEqual(await connection.command(["EVAL", "return redis.call('get', KEYS[1])", "1", "k"]), Buffer.from("v"));
  t.is(await connection.command(["PUBLISH", "c", "m"]), 0n);
});

test("the user comes back with a Redis that has forgotten it, and after somebody has removed it", async (t) => {
  await using redis = await startRedis();
  const client = await control(t, redis);
  const connection = connectAs(t, redis, functionUser(client));
  await connection.whenReady();
  await redis.restart();
  await eventually(() => connection.command(["PING"]).then(Boolean, () => false), { what: "the restarted Redis" });
  t.is(await client.call("ACL", "DELUSER", USERNAME), 1);
  await eventually(() => connection.command(["PING"]).then(Boolean, () => false), { what: "the user again" });
  t.true(((await client.call("ACL", "USERS")) as string[]).includes(USERNAME));
});

test("two coordinators beside one Redis may take turns with the user", async (t) => {
  await using redis = await startRedis();
  const client = await control(t, redis);
  const connections = [client, await control(t, redis)].map((each) => connectAs(t, redis, functionUser(each)));
  await Promise.all(connections.map((connection) => connection.whenReady()));
  for (let round = 0; round < 5; round++) {
    t.is(await client.call("CLIENT", "KILL", "USER", USERNAME), 2);
    for (const connection of connections) {
      await eventually(() => connection.command(["PING"]).then(Boolean, () => false), { what: "both again" });
    }
  }
});

test("where the coordinator may make no user, functions use its own, and it is said once", async (t) => {
  await using redis = await startRedis();
  const admin = await control(t, redis);
  await admin.call("ACL", "SETUSER", "plain", "on", ">secret", "~*", "&*", "+@all", "-acl");
  const own = { username: "plain", password: "secret" };
  const client = await control(t, { host: redis.host, port: redis.port, ...own });
  const refusals: string[] = [];
  const user = new FunctionUser({
    client,
    namespace: "test",
    allowedCommands: [],
    otherwise: own,
    onRefused: (error) => refusals.push(error),
  });
  t.deepEqual(await user.credentials(), own);
  t.deepEqual(await user.credentials(), own);
  t.is(refusals.length, 1);
  t.regex(refusals[0] ?? "", /^NOPERM/);
  // Once it may, it does.
  await admin.call("ACL", "SETUSER", "plain", "+acl|setuser");
  t.is((await user.credentials()).username, USERNAME);
});

test("a Redis that is away is no refusal", async (t) => {
  await using redis = await startRedis();
  const client = await control(t, redis);
  client.disconnect();
  await t.throwsAsync(functionUser(client).credentials(), { code: "UNAVAILABLE" });
});
