import test from "ava";
import fc from "fast-check";
import { sendableText } from "../../../src/grpc/status-text.ts";

test("a text that fits is sent as it is", (t) => {
  for (const text of ["", "Unknown function ä", "50 % of 😀\r\n"]) t.is(sendableText(text), text);
});

test("whatever the text, it can be encoded and stays small", (t) => {
  const text = fc.string({ unit: "binary", maxLength: 20_000, size: "max" });
  const halves = fc.array(fc.constantFrom("\ud83d", "\ude00", "x", "😀"), { maxLength: 9000, size: "max" });
  fc.assert(
    fc.property(
      fc.oneof(
        text,
        halves.map((parts) => parts.join("")),
      ),
      (any) => {
        const sent = sendableText(any);
        return encodeURI(sent).length <= 6 * 1024 + "...".length;
      },
    ),
    { numRuns: 50 },
  );
  t.is(sendableText("x".repeat(1_000_000)).length, 6 * 1024 + "...".length);
});
