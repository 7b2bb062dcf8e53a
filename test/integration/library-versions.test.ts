import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";

test.serial("each coordinator counts the runs of its shard, by function, until another version comes", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  await using here = connect({ address: first.coordinator.address, token: cluster.token });
  await using there = connect({ address: second.coordinator.address, token: cluster.token });
  await here.load(PLAIN_LIBRARY);
  await here.call("plain.args", { keys: [keyOn(cluster, first)] });
  for (let call = 0; call < 3; call++) await here.call("plain.args", { keys: [keyOn(cluster, second)] });
  await t.throwsAsync(here.call("plain.fail", { args: ["9"] }));
  await here.call("plain.shards");

  const counted = async (client: typeof here) => {
    const [library] = await client.list({ library: "plain" });
    const functions = library?.functions.map(({ name, counters }) => [name, counters] as const) ?? [];
    const remote = library?.remoteFunctions.map((name, index) => [name, library.remoteCounters[index]] as const) ?? [];
    return { ...Object.fromEntries(functions), ...Object.fromEntries(remote) };
  };
  const [countedHere, countedThere] = [await counted(here), await counted(there)];
  t.like(countedHere, {
    args: { calls: 1, errors: 0 },
    fail: { calls: 1, errors: 1 },
    shards: { calls: 1, errors: 0 },
    count: { calls: 1, errors: 0 },
    hops: { calls: 0, errors: 0, totalSeconds: 0 },
  });
  t.like(countedThere, { args: { calls: 3, errors: 0 }, fail: { calls: 0 }, count: { calls: 1, errors: 0 } });
  const seconds = countedHere["shards"]?.totalSeconds ?? 0;
  t.true(seconds > 0 && seconds < 10);

  await here.load(PLAIN_LIBRARY, { replace: true });
  t.like(await counted(here), { args: { calls: 0, errors: 0 } });
});

function saying(text: string, filler = ""): string {
  return `#!js name=says
// ${filler}
redis.register_function("it", () => "${text} " + redis.config.tone);
`;
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => "OK",
    ({ code }: { code: string }) => code,
  );
}

test.serial("a rollback brings text and configuration back on every shard, as a new revision", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 3 });
  const [first, second, third] = cluster.nodes;
  if (!first || !second || !third) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token });
  const said = () => Promise.all(cluster.nodes.map((node) => client.call("says.it", { keys: [keyOn(cluster, node)] })));
  const everywhere = (text: string) => [text, text, text];

  t.is(await codeOf(client.rollback("says")), "UNKNOWN_LIBRARY");
  const old = await client.load(saying("old"), { config: { tone: "softly" } });
  const fault = await t.throwsAsync(client.rollback("says"), { message: /says has no revision before this one/ });
  t.like(fault, { code: "NO_PREVIOUS_REVISION" });
  const replacement = await client.load(saying("new"), { config: { tone: "loudly" }, replace: true });
  // Repeated, as after an answer that got lost.
  await client.load(saying("new"), { config: { tone: "loudly" }, replace: true });
  t.deepEqual(await said(), everywhere("new loudly"));
  t.like((await client.list())[0], { previousRevision: old.revision });

  const rolledBack = await client.rollback("says");
  t.deepEqual(rolledBack, {
    hash: old.hash,
    revision: replacement.revision + 2,
    restoredRevision: old.revision,
    pending: [],
  });
  t.deepEqual(await said(), everywhere("old softly"));

  // Whoever starts anew knows the one before, too, and can undo the rollback.
  await third.coordinator.restart();
  await using other = connect({ address: third.coordinator.address, token: cluster.token });
  t.like(await other.rollback("says"), { hash: replacement.hash, restoredRevision: replacement.revision + 1 });
  t.deepEqual(await eventually(said, { what: "answers from all shards" }), everywhere("new loudly"));

  await second.coordinator.kill();
  t.is(await codeOf(client.rollback("says")), "UNAVAILABLE");
  t.is(await client.call("says.it", { keys: [keyOn(cluster, first)] }), "new loudly", "nothing changed");
  t.is((await client.rollback("says", { allowMissing: true })).pending.length, 1);
  await second.coordinator.start();
  t.deepEqual(await eventually(said, { what: "answers from all shards" }), everywhere("old softly"));

  await client.delete("says");
  t.is(await codeOf(client.rollback("says")), "UNKNOWN_LIBRARY");
  await client.load(saying("new"));
  t.is(await codeOf(client.rollback("says")), "NO_PREVIOUS_REVISION");
});

test.serial("of rollbacks at the same time one undoes what it saw, or the next undoes that", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  await using here = connect({ address: first.coordinator.address, token: cluster.token });
  await using there = connect({ address: second.coordinator.address, token: cluster.token });
  await here.load(saying("old"));
  const { revision } = await here.load(saying("new"), { replace: true });
  const codes = await Promise.all([here, there, here, there].map((client) => codeOf(client.rollback("says"))));
  t.true(codes.includes("OK"));
  t.true(codes.every((code) => code === "OK" || code === "UNAVAILABLE"));
  const done = codes.filter((code) => code === "OK").length;
  const last = await eventually(
    async () => {
      const [[one], [other]] = await Promise.all([here.list(), there.list()]);
      return one?.revision === other?.revision && one?.revision;
    },
    { what: "one revision on both shards" },
  );
  t.is(last, revision + done, "each that was done made one revision");
  t.is(await here.call("says.it"), done % 2 === 1 ? "old undefined" : "new undefined");
});

test.serial("versions that are too large together load and are adopted, and cannot be rolled back", async (t) => {
  await using cluster = await startTestCluster(t, {
    shards: 2,
    env: { GEARMESH_MAX_MESSAGE_BYTES: "65536", GEARMESH_MAX_RESULT_BYTES: "32768" },
  });
  await using client = connect({ address: cluster.nodes[0]?.coordinator.address ?? "", token: cluster.token });
  await client.load(saying("old", "x".repeat(40_000)));
  const { pending } = await client.load(saying("new", "y".repeat(40_000)), { replace: true });
  t.deepEqual(pending, []);
  t.is(await codeOf(client.rollback("says")), "NO_PREVIOUS_REVISION");
});
