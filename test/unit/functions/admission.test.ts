import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { Admission } from "../../../src/functions/admission.ts";

const LIMITS = { maxCalls: 2, maxNestedCalls: 3, maxCallDepth: 4 };

test("calls from outside and nested ones have places of their own, and a freed place can be taken again", (t) => {
  const admission = new Admission(LIMITS);
  admission.enter(0);
  admission.enter(0);
  t.is(t.throws(() => admission.enter(0), { instanceOf: Fault })?.code, "RESOURCE_EXHAUSTED");
  for (let i = 0; i < 3; i++) admission.enter(1);
  t.is(t.throws(() => admission.enter(2), { instanceOf: Fault })?.code, "RESOURCE_EXHAUSTED");
  admission.leave(0);
  t.notThrows(() => admission.enter(0));
});

test("nesting beyond the limit is refused by name and takes no place", (t) => {
  const admission = new Admission(LIMITS);
  for (let i = 0; i < 5; i++) t.regex(t.throws(() => admission.enter(5))?.message ?? "", /maxCallDepth/);
  for (let i = 0; i < 3; i++) t.notThrows(() => admission.enter(4));
});
