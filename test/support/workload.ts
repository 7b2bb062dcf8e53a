import { createHash } from "node:crypto";
import type { GearmeshClient } from "../../src/client/client.ts";

export const WORKLOAD_LIBRARY = `#!js name=work
redis.register_remote_function("read", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_async_function("far", async (client, key) => client.run_on_key(key, "read", key));
redis.register_async_function("everywhere", async (client) => (await client.run_on_all_shards("size"))[0].length);
redis.register_remote_function("size", async (client) => Number(client.block((c) => c.call("dbsize"))));
redis.register_function("write", (client, key, value) => client.call("set", key, value));
redis.register_function("fails", () => { throw "as it should"; });
redis.register_rpc_method("workEcho", async (client, text) => text);
redis.register_task("workTask", async (client, text) => text);
`;

/** A queue that no setting names. */
export const OWN_QUEUE = "my-own-queue";

/** Uses every capability once, by names that nobody has used before. */
export async function useEverything(client: GearmeshClient, name: string): Promise<void> {
  await Promise.all([
    useFunctions(client, name),
    useConnection(client, name),
    usePubSub(client, name),
    useCache(client, name),
    useStorage(client, name),
    useTasks(client, name),
  ]);
}

async function useFunctions(client: GearmeshClient, name: string): Promise<void> {
  const key = `key ${name}`;
  await using stream = client.stream();
  await stream.call("work.write", { keys: [key], args: ["value"] });
  await client.call("work.write", { keys: [key], args: ["value"] });
  await client.call("work.far", { args: [key] });
  await stream.call("work.everywhere");
  await client.call("work.fails").catch(() => undefined);
  await client.rpc("workEcho", { args: [name] });
}

/** A connection of its own in a room of its own. */
export async function useConnection(client: GearmeshClient, name: string): Promise<void> {
  const room = `room ${name}`;
  const heard = Promise.withResolvers<void>();
  await client.rooms.add(room);
  const connection = await client.open({ params: { name }, onRoomMessage: () => heard.resolve() });
  await connection.verb("roomAdd", room);
  await connection.verb("say", room, { text: name });
  await client.rooms.broadcast("0", room, name);
  await heard.promise;
  await connection.verb("roomView", room);
  await connection.verb("roomLeave", room);
  await connection.quit();
  await client.rooms.destroy(room);
}

async function usePubSub(client: GearmeshClient, name: string): Promise<void> {
  const type = `type ${name}`;
  const abort = new AbortController();
  const events = client.subscribe([type], { signal: abort.signal });
  const first = events.next();
  // The subscription is there once a message reaches somebody.
  while ((await client.publish(type, name)).subscribers === 0);
  await first;
  abort.abort();
  await events.return();
}

async function useCache(client: GearmeshClient, name: string): Promise<void> {
  await useCacheKey(client, name);
  await client.cache.load(`missing ${name}`).catch(() => undefined);
  const lock = await client.cache.lock(`lock ${name}`);
  if (lock) await client.cache.unlock(`lock ${name}`, { fencingToken: lock.fencingToken });
}

/** A key that a library's function writes. */
export async function useFunctionKey(client: GearmeshClient, name: string): Promise<void> {
  await client.call("work.write", { keys: [`key ${name}`], args: [name] });
}

export async function useCacheKey({ cache }: GearmeshClient, name: string): Promise<void> {
  await cache.save(`object ${name}`, { name });
  await cache.load(`object ${name}`);
}

async function useStorage(client: GearmeshClient, name: string): Promise<void> {
  await useStorageKey(client, name);
  const { leaseId } = await client.storage.grantLease(5000);
  await client.storage.revokeLease(leaseId);
}

export async function useStorageKey({ storage }: GearmeshClient, name: string): Promise<void> {
  await storage.put(`value ${name}`, name);
  await storage.get(`value ${name}`);
  await storage.delete(`value ${name}`);
}

async function useTasks({ tasks }: GearmeshClient, name: string): Promise<void> {
  const { id } = await tasks.enqueue("workTask", name);
  await tasks.result(id);
  await tasks.enqueueIn(600_000, "workTask", createHash("sha256").update(name).digest("hex"), { queue: OWN_QUEUE });
}
