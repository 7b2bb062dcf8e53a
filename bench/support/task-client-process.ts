/** An application that enqueues tasks, over the call stream of one coordinator. */
import { connect } from "../../src/client/client.ts";
import { announce, answer } from "./child-process.ts";
import { measureRate } from "./load.ts";

const client = connect({
  address: process.env["BENCH_ADDRESS"] ?? "",
  token: process.env["BENCH_TOKEN"] ?? "",
  timeoutMs: 60_000,
});
const stream = client.stream();
/** Tasks of one request, and requests under way. */
const BULK = 200;
const IN_FLIGHT = 8;

interface Question {
  readonly kind: "work" | "bulk" | "pick-up";
  readonly queue: string;
  readonly count: number;
  readonly durationMs: number;
}

/** Tasks a second, worked by a library's function. */
async function work(queue: string, count: number): Promise<number> {
  await client.tasks.pauseQueue(queue);
  const ids: string[] = [];
  for (let start = 0; start < count; start += BULK) {
    const size = Math.min(BULK, count - start);
    const tasks = Array.from({ length: size }, (_, n) => ({ name: "noop", args: n, queue }));
    for (const outcome of await stream.enqueueBulk(tasks)) {
      if (outcome instanceof Error) throw outcome;
      ids.push(outcome.id);
    }
  }
  const startedMs = performance.now();
  const resumed = client.tasks.resumeQueue(queue);
  // Of each partition the last ones: nothing is behind them.
  await Promise.all([resumed, ...ids.slice(-20).map((id) => client.tasks.result(id))]);
  return count / ((performance.now() - startedMs) / 1000);
}

async function bulk(queue: string, durationMs: number): Promise<number> {
  await client.tasks.pauseQueue(queue);
  const tasks = Array.from({ length: BULK }, (_, n) => ({ name: "noop", args: n, queue }));
  const rate = await measureRate(() => stream.enqueueBulk(tasks), IN_FLIGHT, durationMs);
  await client.tasks.delete({ queue });
  return rate * BULK;
}

/** From enqueueing a task while all are idle to the beginning of its attempt. Unit: ms. */
async function pickUp(queue: string): Promise<number> {
  const enqueuedAtMs = Date.now();
  const { id } = await client.tasks.enqueue("noop", 1, { queue });
  await client.tasks.result(id);
  return (await client.tasks.describe(id)).startedAtMs - enqueuedAtMs;
}

answer<Question>(({ kind, queue, count, durationMs }) => {
  if (kind === "work") return work(queue, count);
  return kind === "bulk" ? bulk(queue, durationMs) : pickUp(queue);
});
announce({});
