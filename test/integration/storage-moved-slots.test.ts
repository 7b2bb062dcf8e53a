import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";

test("a list is whole, and each write is made once, while slots move", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 2 });
  const [first, second] = cluster.nodes;
  if (!first || !second) return t.fail();
  await using client = connect({ address: first.coordinator.address, token: cluster.token, timeoutMs: 30_000 });
  const { storage } = client;
  await using stream = client.stream();
  const keys = Array.from({ length: 3000 }, (_, index) => `moved/${index}`);
  await Promise.all(keys.map((key) => stream.storage.put(key, 0)));
  let isMoving = true;
  let lists = 0;
  const moving = (async () => {
    // As often as it takes, whichever of the two the machine gives more time.
    while (lists <= 2) {
      await cluster.moveSlots({ start: 0, end: 150 }, first, second);
      await cluster.moveSlots({ start: 0, end: 150 }, second, first);
    }
    isMoving = false;
  })();
  const listing = (async () => {
    while (isMoving) {
      const listed = await Array.fromAsync(storage.listKeys({ prefix: "moved/" }));
      lists++;
      const missing = new Set(keys).difference(new Set(listed));
      t.deepEqual([...missing], []);
      t.is(listed.length, keys.length);
    }
  })();
  let counted = 0;
  const counting = (async () => {
    while (isMoving) {
      const key = keys[counted % keys.length] ?? "";
      const entry = await storage.get(key);
      const write = await storage.compareAndSet(key, entry?.revision ?? 0, Number(entry?.value) + 1);
      t.true(write.written);
      counted++;
    }
  })();
  await Promise.all([moving, listing, counting]);
  t.true(lists > 2);
  let sum = 0;
  for await (const { value } of storage.list({ prefix: "moved/" })) sum += Number(value);
  t.is(sum, counted);
});
