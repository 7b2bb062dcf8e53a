import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

const LIBRARY = `#!js name=lib
redis.register_task("double", async (client, { n }) => ({ twice: n * 2 }));
redis.register_task("fails", async () => { throw new Error("not today"); }, { queue: "mail" });
`;

interface Listed {
  readonly id: string;
  readonly state: string;
}

test("`gearmesh tasks`: a task from its enqueuing to its result, and failed ones shown, retried and deleted", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1, redisMode: "standalone" });
  const { address = "" } = cluster.nodes[0]?.coordinator ?? {};
  const env = { GEARMESH_ADDRESS: address, GEARMESH_SERVER_TOKEN: cluster.token };
  const gearmesh = async (...args: readonly string[]) => {
    const child = spawn(process.execPath, [MAIN, "tasks", ...args], { env: { ...process.env, ...env } });
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    return { code, out: out.trimEnd(), err };
  };
  const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse((await gearmesh(...args, "--json")).out);
  await using client = connect({ address, token: cluster.token });
  await client.load(LIBRARY);

  const done = await json<{ id: string }>("enqueue", "double", '{"n": 21}', "--id", "mine", "--wait");
  t.like(done, { suppressed: false, result: { twice: 42 } });
  t.true(done.id.endsWith("mine"), done.id);
  const late = await gearmesh("enqueue", "double", '{"n": 1}', "--delay", "3600000", "--priority", "3");
  t.like(await json("list", "--state", "delayed"), [{ id: late.out, name: "double", args: { n: 1 }, priority: 3 }]);

  const refused = await gearmesh("enqueue", "fails", "--wait");
  t.is(refused.code, 1);
  t.regex(refused.err, /not today.*TASK_FAILED/s);
  const table = await gearmesh("list", "--queue", "mail", "--state", "failed");
  t.regex(table.out, /^ID +NAME +QUEUE +STATE .*\n\S+ +fails +mail +failed +1 +1 +null +\S+ +.*not today/);

  t.is((await gearmesh("pause", "mail")).out, "queue mail is paused");
  t.deepEqual(await json("retry", "--queue", "mail"), { count: 1 });
  const [held] = await json<Listed[]>("list", "--queue", "mail");
  t.is(held?.state, "waiting");
  t.regex((await gearmesh("queues")).out, /^QUEUE .*\n(.*\n)*mail +1 +0 +0 +0 +0 +paused\n(.*\n)*NODE .*\n\S+ +0 /);
  t.deepEqual(await json("delete", "--id", held?.id ?? ""), { count: 1 });
  t.is((await gearmesh("resume", "mail")).out, "queue mail is worked again");
  t.deepEqual(await json("list", "--queue", "mail"), []);

  const nothing = await gearmesh("delete");
  t.deepEqual({ code: nothing.code, out: nothing.out }, { code: 2, out: "" });
  t.regex(nothing.err, /say which: --queue, --state, --name or --id/);
  t.is((await gearmesh("enqueue", "double", "{n: 1}")).code, 2);
});
