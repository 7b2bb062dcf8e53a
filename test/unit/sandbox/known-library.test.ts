import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { librarySource } from "../../../src/functions/library-version.ts";
import { KnownLibrary } from "../../../src/sandbox/known-library.ts";

function known(): KnownLibrary {
  return new KnownLibrary(librarySource("lib", "#!js name=lib\n", "{}"), 4);
}

test("a library that was being loaded when the process died is given one more try", async (t) => {
  const library = known();
  library.orderId = 1;
  t.true(library.survives());
  library.orderId = 2;
  t.false(library.survives());
  const fault = await t.throwsAsync(library.registrations, { instanceOf: Fault });
  t.is(fault?.code, "LIBRARY_REFUSED");
});

test("deaths before its turn, and after it was loaded, are not held against it", async (t) => {
  const library = known();
  for (let death = 0; death < 5; death++) t.true(library.survives());
  library.orderId = 1;
  library.loaded({ functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] });
  for (let death = 0; death < 5; death++) {
    library.orderId = death + 2;
    t.true(library.survives());
  }
  t.true(library.isLoaded);
  t.deepEqual(await library.registrations, {
    functions: [],
    remoteFunctions: [],
    rpcMethods: [],
    tasks: [],
    middleware: [],
  });
});
