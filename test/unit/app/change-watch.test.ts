import test from "ava";
import { ChangeWatch } from "../../../src/app/change-watch.ts";
import { eventually } from "../../support/eventually.ts";

test("the beginning and each change are told, once", async (t) => {
  let value: string | undefined;
  const told: (string | undefined)[] = [];
  const watch = new ChangeWatch(
    () => value,
    (changed) => told.push(changed),
  );
  watch.start();
  t.deepEqual(told, [undefined]);
  watch.look();
  value = "a reason";
  await eventually(() => told.length === 2, { what: "the change" });
  value = "another";
  watch.look();
  watch.look();
  t.deepEqual(told, [undefined, "a reason", "another"]);
  watch.stop();
});
