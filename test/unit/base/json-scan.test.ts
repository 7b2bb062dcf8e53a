import test from "ava";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import { checkJson, MAX_JSON_DEPTH } from "../../../src/base/json-scan.ts";

/** Undefined: it is taken. */
function flawOf(json: string | Uint8Array): string | undefined {
  try {
    checkJson(Buffer.from(json as string));
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Fault && thrown.code === "INVALID_ARGUMENT") return thrown.message;
    throw thrown;
  }
}

function isParsed(bytes: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return true;
  } catch {
    return false;
  }
}

/** Pieces of JSON, so that what they make up is often nearly right. */
const piece = fc.oneof(
  fc.constantFrom(...'[]{},:"\\0123456789-+.eEtfnu \t\n\r\v\f/bxA\u0000\u001f\u007f\u00a0\u2028\ufeff'),
  fc.constantFrom(
    "true",
    "false",
    "null",
    "1e5",
    "-0.5",
    '"a"',
    '"":',
    "\\u00e9",
    "\\ud800",
    "[]",
    "{}",
    "NaN",
    "x".repeat(70),
  ),
);
const nearly = fc.array(piece, { maxLength: 12 }).map((pieces) => Buffer.from(pieces.join("")));

/** JSON with a few bytes changed, taken out or put in. */
const damaged = fc
  .tuple(
    fc.oneof(
      fc.json(),
      fc.json({ stringUnit: "binary" }),
      fc.string({ minLength: 60, maxLength: 200 }).map((text) => JSON.stringify([text])),
    ),
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 2 }), fc.nat({ max: 255 })), { maxLength: 3 }),
  )
  .map(([json, changes]) => {
    const bytes = [...Buffer.from(json)];
    for (const [at, removed, byte] of changes)
      bytes.splice(at % (bytes.length + 1), removed, ...(removed === 2 ? [] : [byte]));
    return Buffer.from(bytes);
  });

test("what JSON.parse takes is taken, and nothing else", (t) => {
  const seen = { true: 0, false: 0 };
  const agrees = fc.property(fc.oneof(nearly, damaged, fc.uint8Array({ maxLength: 6 })), (bytes) => {
    const isJson = isParsed(bytes);
    seen[`${isJson}`]++;
    return (flawOf(bytes) === undefined) === isJson;
  });
  fc.assert(agrees, { numRuns: 20_000 });
  t.true(seen.true > 2000 && seen.false > 2000, JSON.stringify(seen));
});

test("each character in each place of a long string counts as in JSON.parse", (t) => {
  for (const byte of [0, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x5b, 0x5c, 0x5d, 0x7f, 0x80, 0xa2, 0xdc, 0xff]) {
    for (let at = 1; at < 120; at++) {
      const bytes = Buffer.from(`"${"x".repeat(120)}"`);
      bytes[at] = byte;
      t.is(flawOf(bytes) === undefined, isParsed(bytes), `byte ${byte} at ${at}`);
    }
  }
});

test("characters beyond ASCII in long strings are taken, halves of them are not", (t) => {
  t.is(flawOf(JSON.stringify("aäöü€\u{1f600}".repeat(50))), undefined);
  t.is(flawOf(JSON.stringify({ ["ключ".repeat(30)]: "значение".repeat(30) })), undefined);
  t.regex(flawOf(Buffer.from([0x22, 0xff, 0x22])) ?? "", /UTF-8/);
  t.regex(flawOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])) ?? "", /UTF-8/, "half a surrogate pair");
});

test("it nests 512 levels deep and no deeper, whatever it nests", (t) => {
  const nested = (open: string, inner: string, close: string, depth: number) =>
    open.repeat(depth) + inner + close.repeat(depth);
  for (const [open, close] of [
    ["[", "]"],
    ['{"a":', "}"],
    ['[{"b":[1,', "]},2]"],
  ] as const) {
    const levels = open.replaceAll(/[^[{]/g, "").length;
    const most = Math.floor(MAX_JSON_DEPTH / levels);
    t.is(flawOf(nested(open, "0", close, most)), undefined);
    t.regex(flawOf(nested(open, "[[[0]]]", close, most)) ?? "", /512 levels/);
    t.regex(flawOf(nested(open, "0", close, 1_000_000)) ?? "", /512 levels/);
  }
  t.is(flawOf(`[${"[],".repeat(5000)}[]]`), undefined, "width is no depth");
});

test("what is wrong says where", (t) => {
  t.is(flawOf('{"a":tru}'), "a value is not JSON: its text is wrong at byte 8");
  t.is(flawOf('{"a":[1,'), "a value is not JSON: its text ends too early at byte 8");
  t.is(flawOf(""), "a value is not JSON: its text ends too early at byte 0");
});
