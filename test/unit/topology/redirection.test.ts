import test from "ava";
import { parseMoved } from "../../../src/topology/redirection.ts";

for (const [text, slot, host, port] of [
  ["MOVED 3999 127.0.0.1:6381", 3999, "127.0.0.1", 6381],
  ["MOVED 0 redis-1.example:6379", 0, "redis-1.example", 6379],
  ["MOVED 16383 :7000", 16383, "", 7000],
  ["MOVED 1 2001:db8::1:6379", 1, "2001:db8::1", 6379],
  ["MOVED 1 [2001:db8::1]:6379", 1, "2001:db8::1", 6379],
] as const) {
  test(`${text} is read`, (t) => t.deepEqual(parseMoved(text), { slot, owner: { host, port } }));
}

for (const text of [
  "",
  "MOVED",
  "MOVED 1",
  "MOVED x a:1",
  "MOVED 16384 a:1",
  "MOVED 1 a:65536",
  "ASK 1 a:1",
  "MOVED 1 a:1 b",
]) {
  test(`"${text}" is none`, (t) => t.is(parseMoved(text), undefined));
}
