import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
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
