import test from "ava";
import { FAULTS, Fault, isFaultCode } from "../../../src/base/fault.ts";

test("whatever is thrown becomes a fault: a bug's text stays in its cause", (t) => {
  const fault = new Fault("MOVED", "to another shard");
  t.is(Fault.from(fault), fault);
  for (const thrown of [new TypeError("a detail"), "a detail", undefined, { code: "MOVED" }]) {
    const wrapped = Fault.from(thrown);
    t.is(wrapped.code, "INTERNAL");
    t.false(wrapped.message.includes("detail"));
    t.is(wrapped.cause, thrown);
  }
});

test("only the listed codes are codes, not what objects inherit", (t) => {
  for (const code of Object.keys(FAULTS)) t.true(isFaultCode(code));
  for (const code of ["", "toString", "constructor", "moved"]) t.false(isFaultCode(code));
});
