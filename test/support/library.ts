/** Functions that tests of the coordinator call: what goes wrong around them is what is tested. */
export const PLAIN_LIBRARY = `#!js name=plain
redis.register_remote_function("count", async (client) => Number(client.block((c) => c.call("dbsize"))));
redis.register_async_function("args", async (client, ...args) => args.length);
redis.register_async_function("fail", async (client, length) => { throw "x".repeat(Number(length)); });
redis.register_async_function("long", async (client, length) => "x".repeat(Number(length)));
redis.register_async_function("shards", async (client) => (await client.run_on_all_shards("count"))[0].length);
redis.register_async_function("hops", async (client, hops) => {
  for (let hop = 0; hop < Number(hops); hop++) await client.run_on_key("key:" + hop, "count");
  return Number(hops);
});
`;
