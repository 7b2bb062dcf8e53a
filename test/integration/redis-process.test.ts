import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { Redis } from "ioredis";

import type { Address } from "../../src/base/address.ts";
import { Fault } from "../../src/base/fault.ts";
import { claimPortBlock, PORT_OFFSETS } from "../../src/dev/free-ports.ts";
import { askRedis } from "../../src/dev/inline-command.ts";
import { Reaper } from "../../src/dev/reaper.ts";
import { findRedisServer, RedisProcess } from "../../src/dev/redis-process.ts";
import { eventually } from "../support/eventually.ts";

async function withRedis(run: (redis: RedisProcess, directory: string) => Promise<void>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-test-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const reaper = stack.use(await Reaper.start());
  const { basePort } = stack.use(await claimPortBlock(1));
  const redis = stack.use(
    new RedisProcess({ command: await findRedisServer(), port: basePort, directory: join(directory, "redis"), reaper }),
  );
  await run(redis, directory);
  return directory;
}

async function idOf({ host, port }: Address): Promise<unknown> {
  using redis = { client: new Redis(port, host), [Symbol.dispose]: () => redis.client.disconnect() };
  return await redis.client.call("CLUSTER", "MYID");
}

test("a Redis is the same node of the cluster after it was killed and started again", async (t) => {
  await withRedis(async (redis) => {
    await redis.start();
    const id = await idOf(redis);
    const first = redis.pid;
    await redis.kill();
    t.is(redis.pid, undefined);
    t.is(await askRedis(redis, "PING"), undefined);
    await redis.start();
    t.not(redis.pid, first);
    t.truthy(id);
    t.is(await idOf(redis), id);
  });
});

test("a paused Redis says nothing until it is resumed, and can be stopped while it is paused", async (t) => {
  const directory = await withRedis(async (redis) => {
    await redis.start();
    redis.pause();
    t.is(await askRedis(redis, "PING", 200), undefined);
    redis.resume();
    t.is(await askRedis(redis, "PING"), "+PONG");
    redis.pause();
  });
  t.false(existsSync(directory));
});

test("a Redis that cannot start says why", async (t) => {
  await withRedis(async (redis) => {
    await using bus = createServer().listen(redis.port + PORT_OFFSETS.bus, "127.0.0.1");
    await once(bus, "listening");
    const fault = await t.throwsAsync(redis.start(), { instanceOf: Fault });
    t.is(fault?.code, "UNAVAILABLE");
    t.regex(fault?.message ?? "", /Address already in use|bind/);
  });
});

test("a server that answers at a Redis's place is not taken for it", async (t) => {
  await withRedis(async (redis, directory) => {
    await redis.start();
    await using reaper = await Reaper.start();
    const command = await findRedisServer();
    await using second = new RedisProcess({ command, port: redis.port, directory: join(directory, "second"), reaper });
    await t.throwsAsync(second.start(), { instanceOf: Fault, message: /another server answers there/ });
  });
});

test("what a process started is gone after its SIGKILL, files included", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-test-"));
  const { basePort } = await claimPortBlock(1);
  const script = `
    const { Reaper } = await import("./src/dev/reaper.ts");
    const { findRedisServer, RedisProcess } = await import("./src/dev/redis-process.ts");
    const reaper = await Reaper.start();
    const directory = ${JSON.stringify(directory)};
    reaper.tell({ remove: directory });
    const redis = new RedisProcess({ command: await findRedisServer(), port: ${basePort}, directory, reaper });
    await redis.start();
    console.log("up");
  `;
  const owner = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(owner.stdout, "data");
  t.is(await askRedis({ host: "127.0.0.1", port: basePort }, "PING"), "+PONG");
  owner.kill("SIGKILL");
  await eventually(() => !existsSync(directory), { what: "end of the directory" });
  t.is(await askRedis({ host: "127.0.0.1", port: basePort }, "PING"), undefined);
});
