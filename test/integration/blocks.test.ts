import test from "ava";
import { connect } from "../../src/client/client.ts";
import { startTestCluster } from "../support/cluster.ts";

const WRITERS = 8;
const READERS = 8;
const READS = 10_000;

const LIBRARY = `#!js name=pair
redis.register_async_function("increment", async (client) => client.block((c) => {
  c.call("incr", "{pair}:a");
  c.call("incr", "{pair}:b");
}));
redis.register_async_function("read", async (client) => client.block((c) =>
  [c.call("get", "{pair}:a"), c.call("get", "{pair}:b")]), ["no-writes"]);
`;

test("what one block writes, no other block sees by half", async (t) => {
  await using cluster = await startTestCluster(t, { shards: 1 });
  const [node] = cluster.nodes;
  if (!node) return t.fail();
  await using client = connect({ address: node.coordinator.address, token: cluster.token });
  await using stream = client.stream();
  await client.load(LIBRARY);
  const keys = ["{pair}:a"];
  await stream.call("pair.increment", { keys });
  let reads = 0;
  let writes = 1;
  const write = async (): Promise<void> => {
    while (reads < READS) {
      await stream.call("pair.increment", { keys });
      writes++;
    }
  };
  const seen = new Set<unknown>();
  const read = async (): Promise<void> => {
    while (reads < READS) {
      reads++;
      const pair = await stream.call("pair.read", { keys });
      const [a, b] = Array.isArray(pair) ? pair.map(String) : [];
      if (a === undefined || a !== b) throw new Error(`a is ${a} and b is ${b}`);
      seen.add(a);
    }
  };
  await Promise.all([...Array.from({ length: WRITERS }, write), ...Array.from({ length: READERS }, read)]);
  t.log(`${reads} reads saw ${seen.size} different values of ${writes} writes`);
  t.true(reads >= READS);
  t.true(seen.size > READS / 100);
  t.deepEqual(await stream.call("pair.read", { keys }), [String(writes), String(writes)]);
});
