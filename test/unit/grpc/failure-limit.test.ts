import test from "ava";
import { FailureLimit } from "../../../src/grpc/failure-limit.ts";

function setup(perMinute: number) {
  let nowMs = 0;
  const limit = new FailureLimit({ perMinute, now: () => nowMs });
  const fail = (peer: string, times: number, door = "client") => {
    for (let i = 0; i < times; i++) limit.failedAt(door, peer);
  };
  return { limit, fail, pass: (ms: number) => (nowMs += ms) };
}

test("an address may fail so often, then it is refused until time has given some back; others and other doors are not", (t) => {
  const { limit, fail, pass } = setup(6);
  fail("10.0.0.1:4000", 5);
  t.true(limit.admits("client", "10.0.0.1:4001"));
  fail("10.0.0.1:4002", 1);
  t.false(limit.admits("client", "10.0.0.1:4003"), "whatever the port");
  t.true(limit.admits("mesh", "10.0.0.1:4003"));
  t.true(limit.admits("client", "10.0.0.2:4003"));
  pass(10_000);
  t.true(limit.admits("client", "10.0.0.1:4004"));
  fail("10.0.0.1:4005", 1);
  t.false(limit.admits("client", "10.0.0.1:4006"));
});

test("one address in two notations, and one network of IPv6, are one", (t) => {
  const { limit, fail } = setup(1);
  fail("::ffff:10.0.0.1:4000", 1);
  t.false(limit.admits("client", "10.0.0.1:4001"));
  fail("2001:db8:0:1:2:3:4:5:4000", 1);
  t.false(limit.admits("client", "2001:db8:0:1::9:4001"));
  t.true(limit.admits("client", "2001:db8:0:2::9:4001"));
});

test("all addresses together have a bound, which keeps out those that failed, and not those that did not", (t) => {
  const { limit, fail, pass } = setup(10);
  for (let i = 0; i < 100; i++) fail(`10.0.1.${i}:1`, 1);
  t.false(limit.admits("client", "10.0.1.7:1"), "it failed once, where it might ten times");
  t.true(limit.admits("client", "10.0.2.7:1"));
  pass(1000);
  t.true(limit.admits("client", "10.0.1.7:1"));
});

test("it remembers no more than a bound, forgets with time, and refuses strangers only where all have failed too often", (t) => {
  const { limit, fail, pass } = setup(1000);
  for (let i = 0; i < 9000; i++) fail(`10.${i >> 8}.${i & 255}.1:1`, 1);
  t.is(limit.size, 4096);
  t.true(limit.admits("client", "10.200.0.1:1"));
  fail("10.201.0.1:1", 1000);
  t.false(limit.admits("client", "10.200.0.1:1"));
  pass(60_000);
  fail("10.202.0.1:1", 1);
  t.is(limit.size, 1);
  t.true(limit.admits("client", "10.200.0.1:1"));
});
