import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { checkPayload, jsonText, payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import { WireWriter } from "../../../src/base/wire.ts";

function codeOf(action: () => unknown): string {
  try {
    action();
    return "OK";
  } catch (thrown) {
    return thrown instanceof Fault ? thrown.code : String(thrown);
  }
}

/** A payload with each of these texts as its JSON. */
function texts(...jsons: readonly (string | Uint8Array)[]): Buffer {
  const writer = new WireWriter();
  for (const json of jsons) writer.bytes(2, Buffer.from(json as string));
  return writer.finish();
}

test("values and bytes come out as they went in, and pass the check", (t) => {
  for (const value of [null, true, -1.5, "ä\u2028", [], [{ deep: ["x"] }], Buffer.from([0, 0xff])]) {
    const payload = payloadOf(value);
    t.notThrows(() => checkPayload(payload));
    t.deepEqual(payloadValue(payload), value);
  }
  t.is(payloadValue(payloadOf(undefined)), null);
});

test("what is neither bytes nor JSON is refused", (t) => {
  for (const payload of [
    Buffer.alloc(0),
    Buffer.from([0x12, 5, 1]),
    Buffer.from([0x10, 1]),
    encodePayload("{a:1}"),
    encodePayload(""),
  ]) {
    t.is(
      codeOf(() => checkPayload(payload)),
      "INVALID_ARGUMENT",
    );
    t.is(
      codeOf(() => payloadValue(payload)),
      "INVALID_ARGUMENT",
    );
  }
});

test("a text that is not UTF-8 is refused, also where a later one would count", (t) => {
  const broken = Buffer.from([0x22, 0xff, 0x22]);
  t.is(
    codeOf(() => checkPayload(texts(broken))),
    "INVALID_ARGUMENT",
  );
  t.is(
    codeOf(() => checkPayload(texts(broken, "1"))),
    "INVALID_ARGUMENT",
  );
  t.is(
    codeOf(() => checkPayload(Buffer.concat([texts(broken), encodePayload(Buffer.from("x"))]))),
    "INVALID_ARGUMENT",
  );
  t.is(
    codeOf(() => checkPayload(texts("1", '"ä"'))),
    "OK",
  );
});

test("15 MB of empty arrays are checked without building them", (t) => {
  const payload = encodePayload(`[${"[],".repeat(5_000_000)}[]]`);
  const before = process.memoryUsage();
  checkPayload(payload);
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.external - before.heapUsed - before.external;
  t.true(grown < 10_000_000, `${grown} bytes`);
});

test("what JSON cannot write is refused: a cycle, and more levels than there is stack for", (t) => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  // Arrays, and objects with names for keys, JSON.stringify writes without a stack.
  const deep: unknown = JSON.parse(`${'{"1":'.repeat(200_000)}0${"}".repeat(200_000)}`);
  for (const value of [cycle, deep, 1n])
    t.is(
      codeOf(() => jsonText(value)),
      "INVALID_ARGUMENT",
    );
  t.is(jsonText(undefined), "null");
});
