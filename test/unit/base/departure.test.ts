import { setImmediate as nextTurn } from "node:timers/promises";
import test from "ava";
import { Departure } from "../../../src/base/departure.ts";

function setup(isAlone: () => boolean) {
  let departures = 0;
  const departure = new Departure(isAlone, () => departures++);
  return { departure, departures: () => departures };
}

test("what is alone leaves with the code that queued it, and what that code queues besides", async (t) => {
  const { departure, departures } = setup(() => true);
  departure.schedule();
  departure.schedule();
  t.is(departures(), 0);
  await Promise.resolve();
  await new Promise((resolve) => process.nextTick(resolve));
  t.is(departures(), 1);
  departure.schedule();
  await new Promise((resolve) => process.nextTick(resolve));
  t.is(departures(), 2);
});

test("what is not alone waits for others for one more turn of the event loop", async (t) => {
  const { departure, departures } = setup(() => false);
  departure.schedule();
  await nextTurn();
  t.is(departures(), 0);
  departure.schedule();
  await nextTurn();
  t.is(departures(), 1);
  await nextTurn();
  t.is(departures(), 1);
});
