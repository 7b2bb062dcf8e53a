/** node-resque with ten workers in one process, as Actionhero runs them. */
import { Queue, Worker } from "node-resque";
import { announce, answer } from "../../support/child-process.ts";

const WORKERS = 10;
const connection = { host: "127.0.0.1", port: Number(process.env["BENCH_REDIS_PORT"]), options: {} };

let left = 0;
let allDone = (): void => undefined;
let began = Promise.withResolvers<void>();
const noop = {
  async perform() {
    began.resolve();
    if (--left === 0) allDone();
  },
};
const queue = new Queue({ connection }, { noop });
await queue.connect();
const workers = Array.from({ length: WORKERS }, () => new Worker({ connection, queues: ["noop"] }, { noop }));
for (const worker of workers) {
  await worker.connect();
  await worker.start();
}

interface Question {
  readonly kind: "work" | "pick-up";
  readonly count: number;
}

/** Jobs a second, from the first that begins. */
async function work(count: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<void>();
  left = count;
  allDone = resolve;
  began = Promise.withResolvers<void>();
  const added = Promise.all(Array.from({ length: count }, (_, n) => queue.enqueue("noop", "noop", [n])));
  await began.promise;
  const startedMs = performance.now();
  await Promise.all([promise, added]);
  return count / ((performance.now() - startedMs) / 1000);
}

/** From enqueueing a job while all are idle to its beginning. Unit: ms. */
async function pickUp(): Promise<number> {
  left = 1;
  began = Promise.withResolvers<void>();
  const startedMs = performance.now();
  await queue.enqueue("noop", "noop", [0]);
  await began.promise;
  return performance.now() - startedMs;
}

answer<Question>(({ kind, count }) => (kind === "work" ? work(count) : pickUp()));
announce({});
