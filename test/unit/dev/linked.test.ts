import test from "ava";
import { untilLinked } from "../../../src/dev/linked.ts";

/** Coordinators that have one link more each time that they are asked, from none. */
function coordinators(count: number) {
  return Array.from({ length: count }, (_, index) => {
    let links = 0;
    return { address: `coordinator ${index}`, openLinks: async () => links++, asked: () => links };
  });
}

test("coordinators are waited for until each has a link to every other one", async (t) => {
  const three = coordinators(3);
  await untilLinked(three);
  t.deepEqual(
    three.map(({ asked }) => asked()),
    [3, 3, 3],
  );
});

test("one alone has nobody to link to", async (t) => {
  await t.notThrowsAsync(untilLinked(coordinators(1)));
});

test("who does not want to wait any longer ends it", async (t) => {
  const abort = new AbortController();
  const never = { address: "alone", openLinks: async () => 0 };
  const waiting = untilLinked([never, never], abort.signal);
  abort.abort(new Error("enough"));
  await t.throwsAsync(waiting, { message: "enough" });
});
