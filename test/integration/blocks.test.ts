import test, { type ExecutionContext } from "ava";
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
redis.register_remote_function("nothing", async () => null);
redis.register_async_function("increment_apart", async (client) => {
  client.block((c) => c.call("incr", "{pair}:a"));
  await client.run_on_key("{pair}:a", "nothing");
  client.block((c) => c.call("incr", "{pair}:b"));
});
redis.register_async_function("read", async (client) => client.block((c) =>
  [c.call("get", "{pair}:a"), c.call("get", "{pair}:b")]), ["no-writes"]);
`;

interface Pair {
  readonly write: () => Promise<void>;
  readonly read: () => Promise<readonly [a: string, b: string]>;
}

/** Writers write until `readMore` says that the readers need no more. */
async function writeAndRead({ write, read }: Pair, readMore: (pair: readonly [string, string]) => boolean) {
  let goesOn = true;
  let writes = 0;
  const writer = async (): Promise<void> => {
    for (; goesOn; writes++) await write();
  };
  const reader = async (): Promise<void> => {
    while (goesOn) goesOn = readMore(await read()) && goesOn;
  };
  await Promise.all([...Array.from({ length: WRITERS }, writer), ...Array.from({ length: READERS }, reader)]);
  return writes;
}

async function startPair(t: ExecutionContext) {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startTestCluster(t, { shards: 1 }));
  const [node] = cluster.nodes;
  if (!node) throw new Error("a cluster without nodes");
  const client = stack.use(connect({ address: node.coordinator.address, token: cluster.token }));
  await client.load(LIBRARY);
  const stream = stack.use(client.stream());
  const keys = ["{pair}:a"];
  const started = stack.move();
  return {
    write: async (name: string) => void (await stream.call(`pair.${name}`, { keys })),
    read: async (): Promise<readonly [string, string]> => {
      const pair = await stream.call("pair.read", { keys });
      return Array.isArray(pair) ? [String(pair[0]), String(pair[1])] : ["no", "pair"];
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

test.serial("what one block writes, no other block sees by half", async (t) => {
  await using pair = await startPair(t);
  await pair.write("increment");
  const seen = new Set<string>();
  let reads = 0;
  const writes = await writeAndRead({ write: () => pair.write("increment"), read: pair.read }, ([a, b]) => {
    if (a !== b) throw new Error(`a is ${a} and b is ${b}`);
    seen.add(a);
    return ++reads < READS;
  });
  t.log(`${reads} reads saw ${seen.size} different values of ${writes} writes`);
  t.true(seen.size > READS / 100);
  t.deepEqual(await pair.read(), [String(writes + 1), String(writes + 1)]);
});

test.serial("what two blocks write, others may see by half", async (t) => {
  await using pair = await startPair(t);
  await pair.write("increment_apart");
  let reads = 0;
  let halves = 0;
  await writeAndRead({ write: () => pair.write("increment_apart"), read: pair.read }, ([a, b]) => {
    if (a !== b) halves++;
    return ++reads < READS && halves === 0;
  });
  t.true(halves > 0, `none of ${reads} reads saw a half`);
});
