import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { isLegalName, isolatesOf, parseLibraryHeader } from "../../../src/functions/library-header.ts";

for (const [line, apiVersion, isolates] of [
  ["#!js name=lib", "1.0", undefined],
  ["#!js name=lib api_version=1.0", "1.0", undefined],
  ["#!js   api_version=1.1\tname=lib  ", "1.1", undefined],
  ["#!js name=lib\r\nredis.log('x')", "1.0", undefined],
  ["#!js name=lib isolates=4", "1.0", 4],
] as const) {
  test(`a header is read: ${JSON.stringify(line)}`, (t) => {
    const text = `${line}\nredis.register_function("f", () => 1);`;
    t.deepEqual(parseLibraryHeader(text), { name: "lib", apiVersion, isolates });
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
  ["#!js name=lib isolates=0", /isolates must be a whole number from 1 to 16/],
  ["#!js name=lib isolates=", /isolates must be a whole number from 1 to 16/],
  [`#!js name=lib ${"x".repeat(1000)}=1`, /unknown property 'x{64}\.\.\.'/],
] as const) {
  test(`a header is refused: ${JSON.stringify(text.slice(0, 40))}`, (t) => {
    const fault = t.throws(() => parseLibraryHeader(text), { instanceOf: Fault, message: complaint });
    t.is(fault?.code, "LIBRARY_REFUSED");
  });
}

for (const [header, config, isolates] of [
  ["#!js name=lib", "{}", 1],
  ["#!js name=lib isolates=2", "{}", 2],
  ["#!js name=lib isolates=2", '{"isolates": 3}', 3],
] as const) {
  test(`${header} with ${config} runs in ${isolates}`, (t) => {
    t.is(isolatesOf({ text: header, config }), isolates);
  });
}

test("a configuration that asks for what is no number of isolates is refused", (t) => {
  for (const wrong of ['"2"', "0", "1.5", "null", "17", "[2]"]) {
    const config = `{"isolates": ${wrong}}`;
    t.throws(
      () => isolatesOf({ text: "#!js name=lib", config }),
      { instanceOf: Fault, code: "LIBRARY_REFUSED" },
      wrong,
    );
  }
});

test("names are words", (t) => {
  t.true(isLegalName("my_dbsize2"));
  for (const name of ["", "a b", "a.b", "ä", "a\n"]) t.false(isLegalName(name), name);
});
