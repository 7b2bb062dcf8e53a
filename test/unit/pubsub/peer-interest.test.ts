import test from "ava";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import { PeerInterest } from "../../../src/pubsub/peer-interest.ts";

const CHANGE = { complete: false, added: [], removed: [], runId: "run", more: false };

function linked(): PeerInterest {
  const interest = new PeerInterest();
  interest.linked("run");
  return interest;
}

function code(action: () => void): FaultCode | undefined {
  try {
    action();
    return undefined;
  } catch (thrown) {
    return Fault.from(thrown).code;
  }
}

test("a complete set replaces what was known, changes are applied to it", (t) => {
  const interest = linked();
  interest.apply({ ...CHANGE, complete: true, added: ["a", "b"], sequence: 3 });
  interest.apply({ ...CHANGE, added: ["c"], removed: ["a"], sequence: 7 });
  t.deepEqual(
    ["a", "b", "c"].map((type) => interest.wants("run", type)),
    [false, true, true],
  );
  t.is(interest.typeCount, 2);
  interest.apply({ ...CHANGE, complete: true, added: ["a"], sequence: 8 });
  t.deepEqual(
    ["a", "b", "c"].map((type) => interest.wants("run", type)),
    [true, false, false],
  );
});

test("what was known holds until the end of a complete set that comes in parts", (t) => {
  const interest = linked();
  const wanted = () => ["a", "b", "c", "d"].filter((type) => interest.wants("run", type)).join("");
  interest.apply({ ...CHANGE, complete: true, added: ["a", "b"], sequence: 1, more: true });
  interest.apply({ ...CHANGE, added: ["c"], sequence: 2 });
  t.is(wanted(), "abc");
  interest.apply({ ...CHANGE, complete: true, added: ["d"], sequence: 3, more: true });
  t.is(wanted(), "abcd");
  // It is told anew from the beginning, by another link.
  interest.apply({ ...CHANGE, complete: true, added: ["b"], sequence: 5, more: true });
  t.is(
    code(() => interest.apply({ ...CHANGE, added: ["d"], sequence: 4 })),
    "INVALID_ARGUMENT",
  );
  t.is(wanted(), "abc");
  interest.apply({ ...CHANGE, added: ["c"], sequence: 6, more: true });
  interest.apply({ ...CHANGE, added: ["d"], sequence: 7 });
  t.is(wanted(), "bcd");
  t.is(interest.typeCount, 3);
});

test("a change that comes behind a later one is refused, and so is one of what was never complete", (t) => {
  const interest = linked();
  t.is(
    code(() => interest.apply({ ...CHANGE, added: ["a"], sequence: 1 })),
    "INVALID_ARGUMENT",
  );
  t.false(interest.wants("run", "a"));
  interest.apply({ ...CHANGE, complete: true, added: ["a"], sequence: 3 });
  for (const sequence of [2, 3]) {
    t.is(
      code(() => interest.apply({ ...CHANGE, complete: true, removed: ["a"], sequence })),
      "INVALID_ARGUMENT",
    );
  }
  t.true(interest.wants("run", "a"));
});

test("what a process has said is kept while it has a link, also while that is replaced, and goes with the last one", (t) => {
  const interest = linked();
  interest.apply({ ...CHANGE, complete: true, added: ["a"], sequence: 5 });
  interest.linked("run");
  interest.unlinked("run");
  t.true(interest.wants("run", "a"));
  interest.unlinked("run");
  t.false(interest.wants("run", "a"));
  t.false(interest.knows("run"));
  t.is(interest.typeCount, 0);
  t.is(
    code(() => interest.apply({ ...CHANGE, complete: true, sequence: 6 })),
    "INVALID_ARGUMENT",
  );
  interest.linked("run");
  t.is(
    code(() => interest.apply({ ...CHANGE, sequence: 7 })),
    "INVALID_ARGUMENT",
    "it begins anew with a complete set",
  );
});

test("two processes of one node are two", (t) => {
  const interest = linked();
  interest.linked("standby");
  interest.apply({ ...CHANGE, complete: true, added: ["a"], sequence: 9 });
  interest.apply({ ...CHANGE, complete: true, added: ["b"], runId: "standby", sequence: 1 });
  t.true(interest.wants("run", "a"));
  t.false(interest.wants("standby", "a"));
});

test("the number of types is bounded; beyond it nothing is known until all is said anew", (t) => {
  const interest = linked();
  const names = Array.from({ length: 65_536 }, (_, index) => `type ${index}`);
  interest.apply({ ...CHANGE, complete: true, added: names, sequence: 1 });
  interest.apply({ ...CHANGE, added: names.slice(0, 5), sequence: 2 });
  t.is(interest.typeCount, 65_536);
  t.is(
    code(() => interest.apply({ ...CHANGE, added: ["one more"], sequence: 3 })),
    "RESOURCE_EXHAUSTED",
  );
  t.is(interest.typeCount, 0);
  t.is(
    code(() => interest.apply({ ...CHANGE, added: ["x"], sequence: 4 })),
    "INVALID_ARGUMENT",
  );
});

test("a message that comes behind a later one, or a second time, is out of order", (t) => {
  const interest = linked();
  t.true(interest.isInOrder("run", 1));
  t.true(interest.isInOrder("run", 5));
  t.false(interest.isInOrder("run", 5));
  t.false(interest.isInOrder("run", 4));
  t.true(interest.isInOrder("run", 6));
  t.is(
    code(() => interest.isInOrder("stranger", 1)),
    "INVALID_ARGUMENT",
  );
});
