import type { GearmeshClient } from "../../../src/client/client.ts";
import type { RpcReply, RpcTarget } from "../../../src/client/rpc.ts";

export const LIBRARY = `#!js name=roll
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_remote_function("one", async () => 1);
redis.register_function("write", (client, key, value) => client.call("set", key, value));
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
redis.register_async_function("far", async (client, key) => client.run_on_key(key, "read", key), ["no-writes"]);
redis.register_async_function("farAndWrite", async (client, own, far) => {
  await client.run_on_key(far, "read", far);
  return client.block((c) => c.call("incr", own));
});
redis.register_async_function("everywhere", async (client) => {
  const [results, errors] = await client.run_on_all_shards("one");
  if (errors.length > 0) throw errors.join("; ");
  return results.length;
}, ["no-writes"]);
redis.register_rpc_method("roll.echo", async (client, text) => text);
redis.register_task("rollLibrary", async (client, { id, keys }) => {
  // One of them is this shard's.
  for (const key of keys) {
    try {
      return Number(client.block((c) => c.call("hincrby", key, id, "1")));
    } catch (error) {
      if (!String(error).includes("MOVED")) throw error;
    }
  }
  throw "none of the keys is this shard's";
}, { queue: "roll" });
`;

/** What a caller finds. */
export interface Scene {
  /** One for each shard. */
  readonly keys: readonly string[];
  readonly nodeNames: () => readonly string[];
  /** Connections that serve `roll.hello`. */
  readonly connectionIds: () => readonly string[];
}

/** One kind of call that is made over and over. */
export interface Kind {
  readonly what: string;
  readonly onlyReads: boolean;
  /** `turn` counts. Rejects where the answer is not what it should be, too. */
  readonly make: (turn: number) => Promise<unknown>;
}

/** More than a restart takes on a machine that has other things to do. Unit: ms. */
const RPC_TIMEOUT_MS = 45_000;

/** Every kind of call that one client makes. */
export function kindsOf(client: GearmeshClient, { keys, nodeNames, connectionIds }: Scene): readonly Kind[] {
  const stream = client.stream();
  const keyAt = (turn: number): string => any(keys, turn);
  const reads = { onlyReads: true };
  const rpc = async (target: RpcTarget, method = "roll.echo") =>
    assertReplied(await client.rpc(method, { args: ["x"], target, timeoutMs: RPC_TIMEOUT_MS }));
  return [
    {
      what: "Call, by key",
      onlyReads: false,
      make: (turn) => client.call("roll.write", { keys: [keyAt(turn)], args: [String(turn)] }),
    },
    {
      what: "Call, by key",
      ...reads,
      make: (turn) => client.call("roll.get", { keys: [keyAt(turn)], ...reads }),
    },
    {
      what: "CallStream, by key",
      onlyReads: false,
      make: (turn) => stream.call("roll.write", { keys: [keyAt(turn)], args: [String(turn)] }),
    },
    {
      what: "CallStream, by key",
      ...reads,
      make: (turn) => stream.call("roll.get", { keys: [keyAt(turn)], ...reads }),
    },
    { what: "run_on_key", ...reads, make: (turn) => client.call("roll.far", { args: [keyAt(turn)], ...reads }) },
    {
      what: "run_on_key from one that writes",
      onlyReads: false,
      make: (turn) =>
        stream.call("roll.farAndWrite", { keys: [`${keyAt(turn)}:{${keyAt(turn)}}`], args: [keyAt(turn + 1)] }),
    },
    {
      what: "run_on_all_shards",
      ...reads,
      async make() {
        const count = await stream.call("roll.everywhere", reads);
        if (count !== BigInt(keys.length)) throw new Error(`${count} shards answered`);
      },
    },
    { what: "RPC to all nodes", onlyReads: false, make: () => rpc("all") },
    { what: "RPC to a node", onlyReads: false, make: (turn) => rpc({ node: any(nodeNames(), turn) }, "ping") },
    { what: "RPC to a key's owner", onlyReads: false, make: (turn) => rpc({ key: keyAt(turn) }) },
    {
      what: "RPC to a connection",
      onlyReads: false,
      make: (turn) => rpc({ connection: any(connectionIds(), turn) }, "roll.hello"),
    },
    {
      what: "Apply to a connection",
      onlyReads: false,
      make: (turn) => client.apply(any(connectionIds(), turn), "set", ["turn", turn], { timeoutMs: RPC_TIMEOUT_MS }),
    },
    { what: "storage put", onlyReads: false, make: (turn) => client.storage.put(keyAt(turn), turn) },
    { what: "storage get", ...reads, make: (turn) => stream.storage.get(keyAt(turn)) },
    { what: "cache save", onlyReads: false, make: (turn) => client.cache.save(keyAt(turn), turn) },
  ];
}

function assertReplied(replies: readonly RpcReply[]): void {
  if (replies.length === 0) throw new Error("no node replied");
  for (const { node, fault } of replies) if (fault) throw new Error(`${node}: ${fault.code} ${fault.message}`);
}

function any<T>(items: readonly T[], turn: number): T {
  return items[turn % items.length] as T;
}
