import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { Deployment } from "../support/deployment.ts";
import { renderOverlay, statefulSetOf } from "../support/manifests.ts";

const LIBRARY = `#!js name=shop
redis.register_function("put", (client, key, value) => client.call("set", key, value));
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
`;
/** A key of the first shard's slots, which are those of pod 0 at first. */
const KEY = "foo{06S}";

test.serial(
  "a pod that stops hands its shard over without a failed call, and comes back with another address",
  async (t) => {
    t.timeout(300_000);
    const { template } = statefulSetOf(await renderOverlay("prod"));
    const graceMs = (template.spec.terminationGracePeriodSeconds ?? 0) * 1000;
    await using stack = new AsyncDisposableStack();
    const deployment = await Deployment.create(t, "prod", stack);
    await deployment.start();
    t.regex(await deployment.formCluster(), /the cluster stands: 3 masters of 6 nodes/);
    await deployment.untilAllServe();

    await using client = deployment.client(5);
    await client.load(LIBRARY);
    await client.call("shop.put", { keys: [KEY], args: ["0"] });
    const { shard } = await client.locateKey(KEY);
    t.regex(shard?.host ?? "", /^gearmesh-0\./);

    let written = 0;
    const failures: string[] = [];
    const stopped = new AbortController();
    const calls = (async () => {
      while (!stopped.signal.aborted) {
        const value = String(written + 1);
        try {
          await client.call("shop.put", { keys: [KEY], args: [value] });
          written++;
          const read = await client.call("shop.get", { keys: [KEY] });
          if (String(read) !== value) failures.push(`wrote ${value}, read ${read}`);
        } catch (error) {
          failures.push(Fault.from(error).message);
        }
      }
    })();
    const end = await deployment.delete(0).finally(() => stopped.abort());
    await calls;
    const { hookMs, redisMs, coordinatorMs } = end;
    t.log(
      `hook ${Math.round(hookMs)} ms, Redis ${Math.round(redisMs)} ms, coordinator ${Math.round(coordinatorMs)} ms, ${written} writes`,
    );
    t.deepEqual(failures, []);
    t.true(hookMs + redisMs + coordinatorMs < graceMs / 2, "the grace period is long enough");
    t.regex(await deployment.redisCli(3, "role"), /^master/, "the replica has the shard");

    await deployment.create(0);
    await deployment.startRedis(0);
    await deployment.untilAllServe();
    t.regex(await deployment.redisCli(0, "role"), /^slave/, "the pod is a replica when it is back");
    await using again = deployment.client(0);
    t.is(
      String(await again.call("shop.get", { keys: [KEY] })),
      String(written),
      "and calls through it find what was written",
    );
  },
);

test.serial(
  "pods that are all replaced at once, as they should or without a word, are the same cluster at other addresses",
  async (t) => {
    t.timeout(300_000);
    await using stack = new AsyncDisposableStack();
    const deployment = await Deployment.create(t, "prod", stack);
    await deployment.start();
    await deployment.formCluster();
    await deployment.untilAllServe();
    const values = new Map<string, string>();
    const ends = [() => deployment.removeAll(), () => deployment.deleteAll()];
    for (const [round, end] of ends.entries()) {
      await using client = deployment.client(round);
      if (round === 0) await client.load(LIBRARY);
      for (let index = 0; index < 50; index++) {
        const key = `${round}:${index}`;
        await client.call("shop.put", { keys: [key], args: [`value ${key}`] });
        await client.storage.put(key, key);
        values.set(key, `value ${key}`);
      }
      const before = deployment.ordinals.map((ordinal) => deployment.pod(ordinal).address);
      const beganMs = performance.now();
      await end();
      const endedMs = performance.now();
      await deployment.start();
      await deployment.untilAllServe();
      t.log(
        `${Math.round(endedMs - beganMs)} ms to their end, ${Math.round(performance.now() - endedMs)} ms until all serve`,
      );
      for (const ordinal of deployment.ordinals) t.false(before.includes(deployment.pod(ordinal).address));
      await using again = deployment.client(5 - round);
      for (const [key, value] of values) {
        t.is(String(await again.call("shop.get", { keys: [key] })), value);
        t.like(await again.storage.get(key), { value: key });
      }
    }
  },
);
