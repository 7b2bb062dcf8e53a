import { readFile } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { Redis } from "ioredis";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { functionUsername } from "../../src/redis/function-user.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";

const LIBRARY = `#!js name=acl
redis.register_function("set", (client, key, value) => client.call("set", key, value));
redis.register_function("script", (client, script) => client.call("eval", script, "0"));
`;
const FLUSH = "return redis.call('flushall')";

function admin(t: ExecutionContext, { redis }: ClusterNode): Redis {
  const client = new Redis(redis.port);
  client.on("error", () => undefined);
  t.teardown(() => client.disconnect());
  return client;
}

/** The users of the coordinator's connections, that of functions apart. */
async function users(client: Redis): Promise<{ functions: string[]; others: string[] }> {
  const lines = String(await client.call("CLIENT", "LIST"))
    .trim()
    .split("\n")
    .filter((line) => line.includes(" name=gearmesh:"));
  const user = (line: string) => / user=(\S+)/.exec(line)?.[1] ?? "";
  const [functions, others] = [true, false].map((isSandbox) =>
    lines.filter((line) => /:sandbox /.test(line) === isSandbox).map(user),
  );
  return { functions: functions ?? [], others: [...new Set(others)] };
}

test.serial(
  "functions are a Redis user of their own, which comes back with its Redis and its sandbox process",
  async (t) => {
    await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
    const [node] = cluster.nodes;
    if (!node) return t.fail();
    const redis = admin(t, node);
    await using client = connect({ address: node.coordinator.address, token: cluster.token });
    await client.load(LIBRARY);
    const works = async () => (await client.call("acl.set", { keys: ["k"], args: ["v"] })) === "OK";
    const owned = { functions: [functionUsername("gearmesh")], others: ["default"] };
    const check = async (after: string) => {
      await eventually(works, { what: `functions after ${after}` });
      t.deepEqual(await users(redis), owned, after);
      await t.throwsAsync(client.call("acl.script", { args: [FLUSH] }), { message: /can't run this command/ }, after);
      t.is(await redis.get("k"), "v");
    };
    await check("the start");
    await redis.call("CLIENT", "KILL", "USER", functionUsername("gearmesh"));
    await check("its connection was killed");
    await redis.call("ACL", "DELUSER", functionUsername("gearmesh"));
    await check("it was removed");
    await redis.call("ACL", "SETUSER", functionUsername("gearmesh"), "resetpass", ">another");
    await redis.call("CLIENT", "KILL", "USER", functionUsername("gearmesh"));
    await check("its password was changed");
    await node.redis.kill("SIGKILL");
    await node.redis.start();
    await eventually(async () => (await client.list()).length === 1, { what: "the library" });
    await check("its Redis was started anew");

    // What the password is, only the two processes know.
    const log = await readFile(node.coordinator.logPath, "utf8");
    t.notRegex(log, /[0-9a-f]{64}/);
    t.notRegex(log, /does not let this coordinator/);
  },
);

test.serial("where the operator names a user, functions are that one", async (t) => {
  await using cluster = await startTestCluster(t, {
    shards: 1,
    redisMode: "standalone",
    env: { GEARMESH_FUNCTION_REDIS_USERNAME: "plain", GEARMESH_FUNCTION_REDIS_PASSWORD: "a secret of theirs" },
  });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  const redis = admin(t, node);
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await client.load(LIBRARY);
  await t.throwsAsync(client.call("acl.set", { keys: ["k"], args: ["v"] }), { message: /WRONGPASS/ });
  await redis.call("ACL", "SETUSER", "plain", "on", ">a secret of theirs", "~*", "&*", "+set", "+command");
  await eventually(async () => (await client.call("acl.set", { keys: ["k"], args: ["v"] })) === "OK", {
    what: "functions, once the user is there",
  });
  t.deepEqual(await users(redis), { functions: ["plain"], others: ["default"] });
  await t.throwsAsync(client.call("acl.script", { args: [FLUSH] }), { message: /NOPERM|no permissions/ });
  t.notRegex(await readFile(node.coordinator.logPath, "utf8"), /a secret of theirs/);
});
