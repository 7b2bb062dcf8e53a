import { once } from "node:events";
import { Worker } from "node:worker_threads";
import test from "ava";
import fc from "fast-check";
import { type LockMode, lockMemory, ShardLock } from "../../../src/sandbox/host/shard-lock.ts";

const step = fc.record({
  mode: fc.constantFrom<LockMode>("shared", "alone"),
  waitMs: fc.constantFrom(0, 0.05, 1000),
  spins: fc.integer({ min: 0, max: 2000 }),
});

test("threads that race for it: whoever writes has it alone, whoever waits gets it, and nothing is left held", async (t) => {
  const program = fc.array(fc.array(step, { minLength: 20, maxLength: 100 }), { minLength: 2, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(program, async (threads) => {
      const memory = lockMemory(threads.length);
      const inside = new SharedArrayBuffer(8);
      const outcomes = await Promise.all(
        threads.map(async (steps, thread) => {
          const worker = new Worker(new URL("./lock-thread.ts", import.meta.url), {
            workerData: { memory, inside, thread, steps },
          });
          const [outcome] = await once(worker, "message");
          await worker.terminate();
          return outcome as { acquired: number; broken: string[] };
        }),
      );
      t.deepEqual(
        outcomes.flatMap(({ broken }) => broken),
        [],
      );
      for (const [thread, { acquired }] of outcomes.entries()) {
        const patient = threads[thread]?.filter(({ waitMs }) => waitMs === 1000).length ?? 0;
        t.true(acquired >= patient, `${acquired} of at least ${patient}`);
      }
      t.true(new ShardLock(memory, 0).acquire("alone", 0));
    }),
    { numRuns: 8 },
  );
});

test("readers share it; a writer waits for them, and those that come after it wait behind it", (t) => {
  const memory = lockMemory(4);
  const [first, second, writer, late] = [0, 1, 2, 3].map((thread) => new ShardLock(memory, thread));
  if (!first || !second || !writer || !late) return t.fail();
  t.true(first.acquire("shared", 0));
  t.true(second.acquire("shared", 0));
  t.false(writer.acquire("alone", 5), "there are readers");
  t.true(late.acquire("shared", 0), "who gave up is in nobody's way");
  for (const reader of [first, second, late]) reader.release("shared");
  t.true(writer.acquire("alone", 0));
  t.false(first.acquire("shared", 5));
  t.false(second.acquire("alone", 5));
  writer.release("alone");
  t.true(second.acquire("alone", 0));
});
