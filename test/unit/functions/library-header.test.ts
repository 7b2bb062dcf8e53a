import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { isLegalName, parseLibraryHeader } from "../../../src/functions/library-header.ts";

for (const [line, apiVersion] of [
  ["#!js name=lib", "1.0"],
  ["#!js name=lib api_version=1.0", "1.0"],
  ["#!js   api_version=1.1\tname=lib  ", "1.1"],
  ["#!js name=lib\r\nredis.log('x')", "1.0"],
] as const) {
  test(`a header is read: ${JSON.stringify(line)}`, (t) => {
    t.deepEqual(parseLibraryHeader(`${line}\nredis.register_function("f", () => 1);`), { name: "lib", apiVersion });
  });
}

for (const [text, complaint] of [
  ["", /no header/],
  ["redis.log('x')", /no header/],
  ["\n#!js name=lib", /no header/],
  ["#!lua name=lib", /unknown engine 'lua'/],
  ["#!js", /gives no name/],
  ["#!js name=", /Unallowed library name ''/],
  ["#!js name=a-b", /Unallowed library name 'a-b'/],
  ["#!js name=lib name=other", /gives name twice/],
  ["#!js name=lib colour=red", /unknown property 'colour'/],
  ["#!js name=lib api_version=2.0", /unknown api_version '2.0', known are 1.0 and 1.1/],
  [`#!js name=lib ${"x".repeat(1000)}=1`, /unknown property 'x{64}\.\.\.'/],
] as const) {
  test(`a header is refused: ${JSON.stringify(text.slice(0, 40))}`, (t) => {
    const fault = t.throws(() => parseLibraryHeader(text), { instanceOf: Fault, message: complaint });
    t.is(fault?.code, "LIBRARY_REFUSED");
  });
}

test("names are words", (t) => {
  t.true(isLegalName("my_dbsize2"));
  for (const name of ["", "a b", "a.b", "ä", "a\n"]) t.false(isLegalName(name), name);
});
