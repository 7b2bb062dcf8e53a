import test from "ava";
import { parseRedirection } from "../../../src/topology/redirection.ts";

for (const [text, kind, slot, host, port] of [
  ["MOVED 3999 127.0.0.1:6381", "moved", 3999, "127.0.0.1", 6381],
  ["ASK 3999 127.0.0.1:6381", "ask", 3999, "127.0.0.1", 6381],
  ["MOVED 0 redis-1.example:6379", "moved", 0, "redis-1.example", 6379],
  ["MOVED 16383 :7000", "moved", 16383, "", 7000],
  ["ASK 1 2001:db8::1:6379", "ask", 1, "2001:db8::1", 6379],
  ["MOVED 1 [2001:db8::1]:6379", "moved", 1, "2001:db8::1", 6379],
] as const) {
  test(`${text} is read`, (t) => t.deepEqual(parseRedirection(text), { kind, slot, target: { host, port } }));
}

for (const text of [
  "",
  "MOVED",
  "MOVED 1",
  "MOVED x a:1",
  "MOVED 16384 a:1",
  "MOVED 1 a:65536",
  "ASKING 1 a:1",
  "TRYAGAIN Multiple keys request during rehashing of slot",
  "MOVED 1 a:1 b",
]) {
  test(`"${text}" is none`, (t) => t.is(parseRedirection(text), undefined));
}
