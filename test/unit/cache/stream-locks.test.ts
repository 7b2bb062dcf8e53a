import test from "ava";
import { StreamLocks } from "../../../src/cache/stream-locks.ts";

const MAX_LOCKS = 4096;

function locksWith(now: () => number) {
  const givenBack: string[] = [];
  const giveBack = async (key: string, fencingToken: number) => {
    givenBack.push(`${key}:${fencingToken}`);
  };
  return { locks: new StreamLocks({ giveBack, now }), givenBack };
}

function taken(fencingToken: number) {
  return { fencingToken, expireTimestampMs: 0 };
}

test("what is held is given back with the stream, and nothing else", (t) => {
  const { locks, givenBack } = locksWith(() => 0);
  locks.taken("a", taken(1), 1000);
  locks.taken("b", taken(1), 1000);
  locks.taken("c", taken(2), 1000);
  locks.dropped("b", 1);
  locks.dropped("c", 7);
  locks.end();
  locks.end();
  t.deepEqual(givenBack, ["a:1", "c:2"]);
});

test("what is taken once the stream has ended is given back at once", (t) => {
  const { locks, givenBack } = locksWith(() => 0);
  locks.end();
  locks.taken("a", taken(1), 1000);
  t.deepEqual(givenBack, ["a:1"]);
});

test("there is no room for ever more, but for what has expired", (t) => {
  let nowMs = 0;
  const { locks } = locksWith(() => nowMs);
  for (let token = 0; token < MAX_LOCKS; token++) {
    locks.assertRoom();
    locks.taken("key", taken(token), 1000);
  }
  t.throws(() => locks.assertRoom(), { message: /4096 locks are held/ });
  locks.renewed("key", 5, 5000);
  nowMs = 1000;
  t.notThrows(() => locks.assertRoom());
  t.is(locks.size, 1, "the one that was renewed");
});
