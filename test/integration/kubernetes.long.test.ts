import test from "ava";
import { Deployment } from "../support/deployment.ts";
import { eventually } from "../support/eventually.ts";

/** Of the dev overlay, where everybody may know it. */
const TOKEN = "for-development-only";

test("the pods of the dev overlay form a cluster, and their probes say how they are", async (t) => {
  t.timeout(170_000);
  await using stack = new AsyncDisposableStack();
  const deployment = await Deployment.create(t, "dev", stack);
  const { ordinals } = deployment;

  await deployment.create(0);
  t.true(await deployment.isAlive(0), "a coordinator lives before its Redis has started");
  t.is(await deployment.health(0), "NOT_SERVING");
  await deployment.remove(0);

  await deployment.start();
  t.is(await deployment.health(0), "NOT_SERVING", "a pod is not ready before there is a cluster");

  t.regex(await deployment.formCluster(), /the cluster stands: 3 masters of 3 nodes/);
  await deployment.untilAllServe();
  const formed = await deployment.redisCli(1, "cluster", "nodes");
  await deployment.formCluster();
  const ownersOf = (nodes: string) => nodes.match(/^\w{40}|\d+-\d+$/gm)?.sort();
  t.is(ownersOf(formed)?.length, 6);
  t.deepEqual(
    ownersOf(await deployment.redisCli(1, "cluster", "nodes")),
    ownersOf(formed),
    "a second run changes nothing",
  );

  await using client = deployment.client(2, TOKEN);
  const { shards } = await client.topology();
  t.deepEqual(
    shards.map(({ coordinatorAddress }) => coordinatorAddress).sort(),
    ordinals.map((ordinal) => `gearmesh-${ordinal}.gearmesh-nodes.gearmesh-dev.svc.cluster.local:7379`),
    "coordinators know each other by the names of their pods",
  );

  await deployment.pod(0).kill(deployment.redis);
  const what = "a coordinator that is not ready without its Redis";
  await eventually(async () => (await deployment.health(0)) === "NOT_SERVING", { what });
  t.true(await deployment.isAlive(0), "liveness does not depend on Redis");
});
