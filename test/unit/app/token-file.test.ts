import test from "ava";
import { parseTokenFile } from "../../../src/app/config/token-file.ts";

test("each line has scopes and a token; what is empty or a comment is none", (t) => {
  const text =
    "# of the shop\ncall           0123456789abcdef\n\n  call,admin\tfedcba9876543210  \r\nmetrics prometheus-reads-this\n";
  t.deepEqual(parseTokenFile(text), [
    { token: "0123456789abcdef", scopes: ["call"] },
    { token: "fedcba9876543210", scopes: ["call", "admin"] },
    { token: "prometheus-reads-this", scopes: ["metrics"] },
  ]);
  t.deepEqual(parseTokenFile(""), []);
});

for (const [line, problem] of [
  ["0123456789abcdef", /line 2 must be scopes \(call, admin, peer, metrics\)/],
  ["call", /line 2 must end with a token/],
  ["call short", /line 2 must end with a token of 16/],
  ["call,root 0123456789abcdef", /line 2 must be scopes/],
  [", 0123456789abcdef", /line 2 must be scopes/],
  ["call 0123456789abcdef 0123456789abcdef", /line 2 must be scopes/],
  ["call the-token-before-it", /line 2 repeats a token/],
] as const) {
  test(`"${line}" is refused, and the message does not show it`, (t) => {
    const { message } = t.throws(() => parseTokenFile(`call the-token-before-it\n${line}\n`)) ?? { message: "" };
    t.regex(message, problem);
    t.notRegex(message, /0123456789abcdef|the-token-before/);
  });
}

test("there may be 256, and not more", (t) => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => `call token-number-${1000 + i}`).join("\n");
  t.is(parseTokenFile(lines(256)).length, 256);
  t.throws(() => parseTokenFile(lines(257)), { message: /more than 256/ });
});
