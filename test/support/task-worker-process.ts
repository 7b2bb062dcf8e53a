/**
 * An external worker of the task `effect`, in a process of its own. Whatever it does is written down in Redis: which attempts began, and the effect of each task, guarded by its fencing number. Only tests start it:
 * arguments are its coordinator's address, the token, and the port of a Redis.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Cluster } from "ioredis";
import { connect } from "../../src/client/client.ts";

const [address = "", token = "", redisPort = ""] = process.argv.slice(2);

/** KEYS: the task's. ARGV: fencing number, who. */
const BEGIN = `return redis.call('RPUSH', KEYS[1] .. ':begun', ARGV[1] .. ' ' .. ARGV[2])`;
/** Replies whether the attempt was stale. */
const EFFECT = `
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'fence') or '0') then return 1 end
redis.call('HSET', KEYS[1], 'fence', ARGV[1])
if redis.call('HSETNX', KEYS[1], 'done', ARGV[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'effects', 1) end
return 0
`;

const redis = new Cluster([{ host: "127.0.0.1", port: Number(redisPort) }]);
redis.on("error", () => undefined);
const client = connect({ address, token });
const who = `${process.pid}@${address}`;
const worker = client.tasks.work(
  {
    effect: {
      queue: "storm",
      async handle(args, { fence }) {
        const key = `effect:{${args}}`;
        await redis.eval(BEGIN, 1, key, fence, who);
        await delay(Math.random() * 4);
        if ((await redis.eval(EFFECT, 1, key, fence)) === 1) throw new Error("a newer attempt was at work");
        return fence;
      },
    },
  },
  { concurrency: 20 },
);
process.send?.("started");
process.on("disconnect", () => process.exit());
await worker.ready.catch(() => undefined);
