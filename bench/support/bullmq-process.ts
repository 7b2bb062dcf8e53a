/** BullMQ as its users have it: a queue and a worker in one process, which does nothing for each job. */
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import { announce, answer } from "./child-process.ts";
import { measureRate } from "./load.ts";

const connection = () =>
  new Redis({ host: "127.0.0.1", port: Number(process.env["BENCH_REDIS_PORT"]), maxRetriesPerRequest: null });
const CONCURRENCY = 10;
const IN_FLIGHT = 64;
const KEPT = { removeOnComplete: { count: 10_000 } };

const queue = new Queue("noop", { connection: connection(), defaultJobOptions: KEPT });
const added = new Queue("added", { connection: connection(), defaultJobOptions: KEPT });
let left = 0;
let allDone = (): void => undefined;
const worker = new Worker("noop", async () => null, { connection: connection(), concurrency: CONCURRENCY });
worker.on("completed", () => {
  if (--left === 0) allDone();
});
await worker.waitUntilReady();

interface Question {
  readonly kind: "work" | "add";
  readonly count: number;
  readonly durationMs: number;
}

/** Jobs a second. */
async function work(count: number): Promise<number> {
  await queue.pause();
  await queue.addBulk(Array.from({ length: count }, (_, n) => ({ name: "noop", data: n })));
  const { promise, resolve } = Promise.withResolvers<void>();
  left = count;
  allDone = resolve;
  const startedMs = performance.now();
  await queue.resume();
  await promise;
  return count / ((performance.now() - startedMs) / 1000);
}

async function add(durationMs: number): Promise<number> {
  const rate = await measureRate(() => added.add("noop", 1), IN_FLIGHT, durationMs);
  await added.drain();
  return rate;
}

answer<Question>(({ kind, count, durationMs }) => (kind === "work" ? work(count) : add(durationMs)));
announce({});
