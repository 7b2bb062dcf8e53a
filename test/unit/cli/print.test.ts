import { Buffer } from "node:buffer";
import test from "ava";
import { jsonOfReply } from "../../../src/cli/print.ts";

test("integers are numbers as long as JSON readers keep them exact", (t) => {
  t.is(jsonOfReply(42n), 42);
  t.is(jsonOfReply(BigInt(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER);
  t.is(jsonOfReply(2n ** 53n), "9007199254740992");
  t.is(jsonOfReply(-(2n ** 70n)), "-1180591620717411303424");
});

test("numbers that JSON lacks are strings", (t) => {
  t.deepEqual([0.5, Number.NaN, Number.POSITIVE_INFINITY].map(jsonOfReply), [0.5, "NaN", "Infinity"]);
});

test("bytes are text where they are UTF-8, else base64", (t) => {
  t.is(jsonOfReply(Buffer.from("grüße")), "grüße");
  t.deepEqual(jsonOfReply(Buffer.of(0xff, 0x00)), { base64: "/wA=" });
});

test("sets are arrays and maps are objects, at any depth", (t) => {
  const reply = new Map([["a", [new Set([1n, null, true]), new Map([[2n, "b"]])]]]);
  t.deepEqual(jsonOfReply(reply), { a: [[1, null, true], { 2: "b" }] });
});
