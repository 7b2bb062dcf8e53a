import test from "ava";
import fc from "fast-check";
import { BlockLock, type BlockMode, type BlockTicket } from "../../../src/sandbox/block-lock.ts";

function lock(): BlockLock {
  return new BlockLock(() => 7);
}

test("a lock that is free is granted at once, and says since when", (t) => {
  t.is(lock().request("exclusive").grantedAtMs, 7);
});

test("readers share, a writer waits for all of them", async (t) => {
  const blocks = lock();
  const first = blocks.request("shared");
  const second = blocks.request("shared");
  const writer = blocks.request("exclusive");
  t.is(second.grantedAtMs, 7);
  first.release();
  t.is(writer.grantedAtMs, undefined);
  second.release();
  await writer.settled;
  t.is(writer.grantedAtMs, 7);
});

test("a reader that comes after a waiting writer does not overtake it", (t) => {
  const blocks = lock();
  const reader = blocks.request("shared");
  const writer = blocks.request("exclusive");
  const late = blocks.request("shared");
  t.is(late.grantedAtMs, undefined);
  reader.release();
  t.is(writer.grantedAtMs, 7);
  t.is(late.grantedAtMs, undefined);
  writer.release();
  t.is(late.grantedAtMs, 7);
});

test("giving up a place in the queue wakes its waiter and lets those behind it through", async (t) => {
  const blocks = lock();
  const reader = blocks.request("shared");
  const writer = blocks.request("exclusive");
  const late = blocks.request("shared");
  const waiting = writer.settled;
  writer.release();
  await waiting;
  t.is(writer.grantedAtMs, undefined);
  t.is(late.grantedAtMs, 7);
  t.is(blocks.waiting, 0);
  reader.release();
});

test("releasing twice releases once", (t) => {
  const blocks = lock();
  const first = blocks.request("exclusive");
  first.release();
  const second = blocks.request("exclusive");
  first.release();
  t.is(blocks.request("shared").grantedAtMs, undefined);
  second.release();
});

test("whatever comes and goes: no one beside a writer, order kept, and in the end all were served", (t) => {
  const step = fc.oneof(
    fc.constantFrom<BlockMode>("shared", "exclusive").map((mode) => ({ mode })),
    fc.nat(20).map((release) => ({ release })),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const blocks = lock();
      let live: { ticket: BlockTicket; mode: BlockMode }[] = [];
      const check = () => {
        const held = live.filter(({ ticket }) => ticket.grantedAtMs !== undefined);
        t.true(held.length <= 1 || held.every(({ mode }) => mode === "shared"));
        // Whoever is granted came before everyone who waits.
        t.deepEqual(held, live.slice(0, held.length));
        t.is(blocks.waiting, live.length - held.length);
        t.true(live.length === 0 || held.length > 0);
      };
      for (const one of steps) {
        if ("mode" in one) {
          live.push({ ticket: blocks.request(one.mode), mode: one.mode });
        } else {
          const gone = live[one.release % Math.max(1, live.length)];
          gone?.ticket.release();
          live = live.filter((entry) => entry !== gone);
        }
        check();
      }
    }),
  );
});
