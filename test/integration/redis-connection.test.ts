import { Buffer } from "node:buffer";
import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { RedisErrorReply, type RedisReply } from "../../src/functions/shard-redis.ts";
import type { RedisEndpoint } from "../../src/redis/redis-endpoint.ts";
import { RespConnection, type RespConnectionLimits } from "../../src/redis/resp-connection.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf } from "../support/fault-of.ts";
import { startRedis } from "./local-redis.ts";

// One after the other: some wait in their turn, and nothing else of this process goes on then.

function open(endpoint: RedisEndpoint, limits: Partial<RespConnectionLimits> = {}): RespConnection & Disposable {
  const connection = new RespConnection(endpoint, { name: "gearmesh:test", limits });
  connection.connect();
  return Object.assign(connection, { [Symbol.dispose]: () => connection.close() });
}

test.serial("replies keep their types", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  const call = (...args: (string | Uint8Array)[]): Promise<RedisReply> => connection.command(args);
  const binary = Buffer.from([0, 255, 13, 10, 128]);
  t.deepEqual(await call("SET", binary, binary), Buffer.from("OK"));
  t.deepEqual(await call("GET", binary), binary);
  t.is(await call("INCRBY", "n", "9007199254740993"), 9007199254740993n);
  t.is(await call("GET", "missing"), null);
  await call("ZADD", "z", "0.3", "a");
  t.is(await call("ZSCORE", "z", "a"), 0.3);
  await call("SADD", "s", "a");
  t.deepEqual(await call("SMEMBERS", "s"), new Set([Buffer.from("a")]));
  await call("HSET", "h", binary, "v");
  t.deepEqual([...((await call("HGETALL", "h")) as ReadonlyMap<RedisReply, RedisReply>)], [[binary, Buffer.from("v")]]);
  t.is(await call("EVAL", "redis.setresp(3); return true", "0"), true);
  const error = await call("INCR", "h");
  t.true(error instanceof RedisErrorReply);
  t.regex(String((error as RedisErrorReply).message), /^WRONGTYPE /);
  t.regex(String(await call("CLIENT", "GETNAME")), /^gearmesh:test$/);
});

test.serial("commands of one turn are answered in order", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  const sent = Array.from({ length: 2000 }, (_, index) => String(index));
  const replies = await Promise.all(sent.map((text) => connection.command(["ECHO", text])));
  t.deepEqual(replies.map(String), sent);
});

test.serial("nothing is queued while Redis is down, and it comes back by itself", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  t.is((await faultOf(connection.command(["PING"]))).code, "UNAVAILABLE");
  await connection.whenReady();
  redis.process.kill("SIGKILL");
  await eventually(() => connection.state.kind === "waiting" && connection.state.reason.includes("ECONNREFUSED"), {
    what: "refused reconnection",
  });
  const fault = await faultOf(connection.command(["PING"]));
  t.is(fault.code, "UNAVAILABLE");
  t.regex(fault.message, /^Redis at 127\.0\.0\.1:\d+ is not reachable: .*ECONNREFUSED/);
  await redis.restart();
  await connection.whenReady();
  t.deepEqual(await connection.command(["PING"]), Buffer.from("PONG"));
});

test.serial("a command that was sent and not answered is indeterminate", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  const blocked = faultOf(connection.command(["BLPOP", "nothing", "0"]));
  const behind = faultOf(connection.command(["PING"]));
  redis.process.kill("SIGKILL");
  t.is((await blocked).code, "INDETERMINATE");
  t.is((await behind).code, "INDETERMINATE");
});

test.serial("a Redis that hangs is given up", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis, { replyTimeoutMs: 1000, connectTimeoutMs: 1000 });
  await connection.whenReady();
  redis.process.kill("SIGSTOP");
  const fault = await faultOf(connection.command(["PING"]));
  t.is(fault.code, "INDETERMINATE");
  t.regex(fault.message, /not answered within 1000 ms/);
  // Its kernel still accepts connections: the greeting must be bounded too.
  await eventually(() => connection.state.kind === "waiting" && connection.state.reason.includes("did not answer"), {
    what: "bounded greeting",
  });
  redis.process.kill("SIGCONT");
  await connection.whenReady();
  t.deepEqual(await connection.command(["PING"]), Buffer.from("PONG"));
});

test.serial("a reply beyond the bound fails its command alone", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis, { maxReplyBytes: 10_000 });
  await connection.whenReady();
  await connection.command(["SETRANGE", "k", "20000", "x"]);
  t.is((await faultOf(connection.command(["GET", "k"]))).code, "RESOURCE_EXHAUSTED");
  await connection.whenReady();
  t.is(await connection.command(["STRLEN", "k"]), 20001n);
});

test.serial("what waits for replies is bounded by count and bytes", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis, { maxPending: 2, maxPendingBytes: 1000 });
  await connection.whenReady();
  const large = await faultOf(connection.command(["SET", "k", "x".repeat(1000)]));
  t.is(large.code, "RESOURCE_EXHAUSTED");
  const first = [connection.command(["PING"]), connection.command(["PING"])];
  t.is((await faultOf(connection.command(["PING"]))).code, "RESOURCE_EXHAUSTED");
  await Promise.all(first);
  t.deepEqual(await connection.command(["PING"]), Buffer.from("PONG"));
});

test.serial("the password is used, and a wrong one is told", async (t) => {
  await using redis = await startRedis({ args: ["--requirepass", "correct horse"] });
  using connection = open({ host: redis.host, port: redis.port, password: "correct horse" });
  await connection.whenReady();
  t.deepEqual(await connection.command(["PING"]), Buffer.from("PONG"));
  using refused = open({ host: redis.host, port: redis.port, password: "wrong battery" });
  await eventually(() => refused.state.kind === "waiting" && refused.state.reason.startsWith("WRONGPASS"), {
    what: "refused password",
  });
  const { message } = await faultOf(refused.command(["PING"]));
  t.false(message.includes("wrong battery"));
});

test.serial("a closed connection settles everything and stays closed", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  const pending = faultOf(connection.command(["BLPOP", "nothing", "0"]));
  connection.close();
  connection.close();
  t.is((await pending).code, "INDETERMINATE");
  t.is((await faultOf(connection.command(["PING"]))).code, "UNAVAILABLE");
  t.is((await faultOf(connection.whenReady())).code, "UNAVAILABLE");
  using never = open({ host: "127.0.0.1", port: 1 });
  const waiting = faultOf(never.whenReady());
  never.close();
  t.is((await waiting).code, "UNAVAILABLE");
});

test.serial("a connection that its listener closes when it is lost stays closed", async (t) => {
  await using redis = await startRedis();
  const states: string[] = [];
  const connection = new RespConnection(redis, {
    name: "gearmesh:test",
    limits: { reconnect: { initialMs: 1, maxMs: 1 } },
    onState: ({ kind }) => {
      states.push(kind);
      if (kind === "waiting") connection.close();
    },
  });
  connection.connect();
  await connection.whenReady();
  redis.process.kill("SIGKILL");
  await eventually(() => connection.state.kind === "closed", { what: "closed connection" });
  await new Promise((resolve) => setTimeout(resolve, 100)); // longer than the wait for the next attempt
  t.deepEqual(states, ["connecting", "ready", "waiting", "closed"]);
});

test.serial(
  "a command that is waited for in this very turn gets the same replies, also one that comes in many pieces",
  async (t) => {
    await using redis = await startRedis();
    using connection = open(redis, { replyTimeoutMs: 60_000 });
    await connection.whenReady();
    const now = (...args: string[]): RedisReply => connection.commandNow(args, 5_000);
    const large = "x".repeat(3_000_000);
    t.deepEqual(now("SET", "k", large), Buffer.from("OK"));
    t.is(String(now("GET", "k")), large);
    t.is(now("INCRBY", "n", "7"), 7n);
    t.true(now("INCR", "k") instanceof RedisErrorReply);
    // Both ways may be mixed: replies come in the order in which commands were sent.
    const later = connection.command(["ECHO", "later"]);
    await new Promise((resolve) => process.nextTick(resolve));
    t.is(String(now("ECHO", "now")), "now");
    t.is(String(await later), "later");
  },
);

test.serial("waiting in this turn ends at its bound, and leaves a connection that works again", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  redis.process.kill("SIGSTOP");
  t.is(t.throws(() => connection.commandNow(["PING"], 100), { instanceOf: Fault })?.code, "INDETERMINATE");
  redis.process.kill("SIGCONT");
  t.is(t.throws(() => connection.commandNow(["PING"], 100), { instanceOf: Fault })?.code, "UNAVAILABLE");
  await connection.whenReady();
  t.is(String(connection.commandNow(["PING"], 5_000)), "PONG");
});

test.serial(
  "commands that are sent while another one waits leave together with it, and each gets its own reply",
  async (t) => {
    await using redis = await startRedis();
    using connection = open(redis);
    await connection.whenReady();
    const replies: string[] = [];
    const nested = (depth: number): void => {
      let rest = depth === 0 ? 0 : 2;
      const meanwhile = (): boolean => {
        if (rest === 0) return false;
        rest--;
        nested(depth - 1);
        return true;
      };
      replies.push(`${depth}: ${connection.commandNow(["ECHO", `at ${depth}`], 5_000, { meanwhile })}`);
    };
    nested(3);
    // Whoever has its reply has no reason to begin another one: three commands wait below the first that is answered, and are answered with it.
    t.deepEqual(replies, ["0: at 0", "1: at 1", "2: at 2", "3: at 3"]);
  },
);

test.serial(
  "what has its turn while a command waits is not held against Redis, and takes its connection along",
  async (t) => {
    await using redis = await startRedis();
    using connection = open(redis);
    await connection.whenReady();
    let calls = 0;
    const slow = (): boolean => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
      return ++calls < 5;
    };
    t.is(String(connection.commandNow(["PING"], 1000, { meanwhile: slow })), "PONG");
    t.is(calls, 5);

    const inner: string[] = [];
    const fails = (): boolean => {
      const id = connection.commandNow(["CLIENT", "ID"], 5_000);
      inner.push(typeof id);
      connection.commandNow(["CLIENT", "KILL", "ID", String(id), "SKIPME", "no"], 5_000);
      try {
        connection.commandNow(["PING"], 5_000);
      } catch (thrown) {
        inner.push(Fault.from(thrown).code);
      }
      return true;
    };
    t.is(String(connection.commandNow(["PING"], 5_000, { meanwhile: fails })), "PONG", "it left before");
    t.is(inner[0], "bigint");
    t.true(["INDETERMINATE", "UNAVAILABLE"].includes(inner[1] ?? ""), inner[1]);
  },
);

test.serial("a command that waits below one whose connection is lost fails with it", async (t) => {
  await using redis = await startRedis();
  using connection = open(redis);
  await connection.whenReady();
  redis.process.kill("SIGSTOP");
  const codes: string[] = [];
  const command = (waitMs: number, meanwhile?: () => boolean): boolean => {
    const fault = t.throws(() => connection.commandNow(["PING"], waitMs, { meanwhile }), { instanceOf: Fault });
    codes.push(fault?.code ?? "none");
    return true;
  };
  command(60_000, () => command(60_000, () => command(100)));
  t.deepEqual(codes, ["INDETERMINATE", "INDETERMINATE", "INDETERMINATE"]);
  redis.process.kill("SIGCONT");
  await connection.whenReady();
  t.is(String(connection.commandNow(["PING"], 5_000)), "PONG");
});
