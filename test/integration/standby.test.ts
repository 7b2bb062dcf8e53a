import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";

test("a second coordinator beside a Redis stands by, forwards to the active one, and takes over from it", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [node, other] = cluster.nodes;
  if (!node || !other) return t.fail();
  const second = await cluster.startSecondCoordinator(node);
  await using active = connect({ address: node.coordinator.address, token: cluster.token });
  await using standby = connect({ address: second.address, token: cluster.token });
  t.is((await active.topology()).role, "active");
  t.is((await standby.topology()).role, "standby");

  // What is loaded through the one is there at the other at once.
  t.deepEqual((await standby.load(PLAIN_LIBRARY)).pending, []);
  t.is(await active.call("plain.shards"), 2n);
  t.is(await standby.call("plain.shards"), 2n);
  for (const at of [node, other]) t.is(await standby.call("plain.args", { keys: [keyOn(cluster, at)] }), 1n);
  await using calls = standby.stream();
  t.is(await calls.call("plain.args"), 0n);

  await node.coordinator.kill("SIGKILL");
  await eventually(async () => (await standby.topology()).role === "active", { what: "the second one active" });
  t.is(await standby.call("plain.shards"), 2n);
  t.is(await standby.call("plain.args", { keys: [keyOn(cluster, node)] }), 1n);

  await node.coordinator.start();
  t.is((await active.topology()).role, "standby", "who took over stays active");
  t.is((await standby.topology()).role, "active");
});
