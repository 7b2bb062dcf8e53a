import test from "ava";
import { Turns } from "../../../src/rooms/turns.ts";

test("what is prepared later acts later, whichever is ready first", async (t) => {
  const turns = new Turns();
  const ready = [1, 2, 3].map(() => Promise.withResolvers<number>());
  const acted: number[] = [];
  const act = (n: number) => ({ count: acted.push(n) });
  const taken = ready.map(({ promise }) => turns.take("k", promise, act));
  ready[2]?.resolve(3);
  ready[1]?.resolve(2);
  t.deepEqual(await turns.take("other", Promise.resolve(9), act), { count: 1 });
  ready[0]?.resolve(1);
  await Promise.all(taken);
  t.deepEqual(acted, [9, 1, 2, 3]);
});

test("what fails is told at its turn and holds up nothing", async (t) => {
  const turns = new Turns();
  const first = Promise.withResolvers<object>();
  const one = turns.take("k", first.promise, (ready) => ready);
  const two = turns.take("k", Promise.reject(new Error("two")), (ready: object) => ready);
  const three = turns.take("k", Promise.resolve({}), () => {
    throw new Error("three");
  });
  const four = turns.take("k", Promise.resolve({ four: 4 }), (ready) => ready);
  first.resolve({ one: 1 });
  t.deepEqual(await one, { one: 1 });
  await t.throwsAsync(two, { message: "two" });
  await t.throwsAsync(three, { message: "three" });
  t.deepEqual(await four, { four: 4 });
});

test("nothing is kept of a key whose turns are over", async (t) => {
  const turns = new Turns();
  t.true(turns.isFree("k"));
  const taken = turns.take("k", Promise.resolve({}), (ready) => ready);
  t.false(turns.isFree("k"));
  await taken;
  await Promise.resolve();
  await Promise.resolve();
  t.true(turns.isFree("k"));
});
