#!js name=lib api_version=1.0

// Runs on the shard it is sent to, and tells how many keys that shard holds.
redis.register_remote_function("dbsize", async (client) => {
    return client.block((client) => {
        return client.call("dbsize").toString();
    });
});

// Asks every shard, and adds up what they say: the number of keys in the cluster.
redis.register_async_function("my_dbsize", async (async_client) => {
    let res = await async_client.run_on_all_shards("dbsize");
    let results = res[0];
    let errors = res[1];
    if (errors.length > 0) {
        return errors;
    }
    let sum = BigInt(0);
    results.forEach((element) => sum += BigInt(element));
    return sum;
});

const remote_get = "remote_get";

// Runs on the shard that owns the key.
redis.register_remote_function(remote_get, async (client, key) => {
    let res = client.block((client) => {
        return client.call("get", key);
    });
    return res;
});

// The value of a key, whichever shard holds it: `gearmesh call lib.get x`.
redis.register_async_function("get", async (async_client, key) => {
    return await async_client.run_on_key(key, remote_get, key);
});
