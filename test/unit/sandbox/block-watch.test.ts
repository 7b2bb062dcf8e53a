import test from "ava";
import { deadlineIn } from "../../../src/base/deadline.ts";
import type { BlockTimes } from "../../../src/functions/sandbox-port.ts";
import { BlockWatch } from "../../../src/sandbox/host/block-watch.ts";
import { HostRun } from "../../../src/sandbox/host/host-run.ts";

function setup() {
  const ended: string[] = [];
  const times: BlockTimes[] = [];
  const watch = new BlockWatch(({ id }, block) => {
    ended.push(`block of ${id}`);
    times.push(block);
  });
  const run = (id: number, tellsBlocks = true) =>
    new HostRun(id, { hash: "h", function: "f", kind: "function", args: [] }, deadlineIn(1000), tellsBlocks);
  return { watch, run, ended, times };
}

test("a block is told once, when its code returns or its run is answered, whichever comes first", (t) => {
  const { watch, run, ended, times } = setup();
  const [one, other] = [run(1), run(2)];
  const beforeMs = Date.now();
  watch.command(one);
  watch.command(one);
  t.deepEqual(ended, []);
  watch.settling(other);
  t.deepEqual(ended, [], "it is another's block");
  watch.settling(one);
  watch.end();
  t.deepEqual(ended, ["block of 1"]);
  watch.command(other);
  watch.end();
  t.deepEqual(ended, ["block of 1", "block of 2"]);
  for (const { startedAtMs, endedAtMs } of times) {
    t.true(startedAtMs <= endedAtMs);
    // The two clocks may differ by a little.
    t.true(startedAtMs > beforeMs - 1000 && endedAtMs < Date.now() + 1000);
  }
});

test("runs that nobody traces tell nothing", (t) => {
  const { watch, run, ended } = setup();
  watch.command(run(1, false));
  watch.end();
  watch.settling(run(1, false));
  t.deepEqual(ended, []);
});

test("code that runs while a block waits has blocks of its own", (t) => {
  const { watch, run, ended } = setup();
  const [waiting, meanwhile] = [run(1), run(2)];
  watch.command(waiting);
  watch.lend(() => {
    watch.command(meanwhile);
    watch.end();
    t.deepEqual(ended, ["block of 2"]);
  });
  watch.command(waiting);
  watch.end();
  t.deepEqual(ended, ["block of 2", "block of 1"]);
});

test("where a turn goes on with another run's code, the block before it has ended", (t) => {
  const { watch, run, ended } = setup();
  watch.command(run(1));
  watch.command(run(2));
  t.deepEqual(ended, ["block of 1"]);
  watch.command(run(3, false));
  watch.end();
  t.deepEqual(ended, ["block of 1", "block of 2"]);
});
