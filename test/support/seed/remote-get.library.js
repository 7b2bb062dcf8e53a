#!js name=foo
const remote_get = "remote_get";

redis.register_remote_function(remote_get, async(client, key) => {
    let res = client.block((client) => {
        return client.call("get", key);
    });
    return res;
});

redis.register_async_function("test", async (async_client) => {
    return await async_client.run_on_key("x", remote_get, "x");
});
