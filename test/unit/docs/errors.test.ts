import { readFileSync } from "node:fs";
import { status } from "@grpc/grpc-js";
import test from "ava";
import { FAULTS, Fault, isFaultCode } from "../../../src/base/fault.ts";
import { statusOf } from "../../../src/grpc/status.ts";

const page = readFileSync(new URL("../../../docs/ERRORS.md", import.meta.url), "utf8");
const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| ([A-Z_]+) \| ([a-z-]+) \| (.+) \| (.+) \|$/gm)];

test("docs/ERRORS.md has each code once and no other", (t) => {
  t.deepEqual(rows.map(([, code]) => code).sort(), Object.keys(FAULTS).sort());
});

for (const [, code = "", statusName = "", retry = ""] of rows) {
  test(`docs/ERRORS.md says of ${code} what the code does`, (t) => {
    if (!isFaultCode(code)) return t.fail();
    t.is(String(status[statusOf(new Fault(code, "")).code]), statusName);
    t.is(String(FAULTS[code].retry), retry);
  });
}
