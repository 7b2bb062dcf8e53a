import test from "ava";
import fc from "fast-check";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { LibraryShelf } from "../../../src/functions/library-shelf.ts";
import { librarySource } from "../../../src/functions/library-version.ts";
import { MethodClaims } from "../../../src/functions/method-claims.ts";
import type { LibrarySource, Registrations } from "../../../src/functions/sandbox-port.ts";

const noneBuiltIn = () => false;
const SOON = () => deadlineIn(10_000);

function registering(...rpcMethods: string[]): Registrations {
  return { functions: [], remoteFunctions: [], rpcMethods, tasks: [], middleware: [] };
}

function source(name: string, text = ""): LibrarySource {
  return librarySource(name, text, "{}");
}

test("a method that another library serves is refused, and the library is named", (t) => {
  const claims = new MethodClaims(noneBuiltIn, (_what, name) => (name === "m" ? "first" : undefined));
  claims.claim(source("first", "next version"), registering("m", "n"), SOON());
  t.throws(() => claims.claim(source("second"), registering("other", "m"), SOON()), {
    code: "LIBRARY_REFUSED",
    message: "RPC method m already exists: library first registered it",
  });
  claims.claim(source("third"), registering("other"), SOON());
});

test("what is built in is refused", (t) => {
  const claims = new MethodClaims(
    (method) => method === "ping",
    () => undefined,
  );
  t.throws(() => claims.claim(source("lib"), registering("m", "ping"), SOON()), {
    code: "LIBRARY_REFUSED",
    message: "RPC method ping is built in",
  });
});

test("a method that a load under way has claimed is refused until that is committed or its time is over", (t) => {
  const served = new Map<string, string>();
  const claims = new MethodClaims(noneBuiltIn, (_what, name) => served.get(name));
  const [first, second] = [source("first"), source("second")];
  claims.claim(first, registering("m"), SOON());
  t.throws(() => claims.claim(second, registering("m"), SOON()), {
    code: "LIBRARY_REFUSED",
    message: /^RPC method m is being registered by library first, /,
  });
  // Served, and deleted again.
  served.set("m", "first");
  claims.release(first.hash);
  served.clear();
  claims.claim(second, registering("m"), deadlineIn(-1));
  claims.claim(first, registering("m"), SOON());
});

test("versions of one library never stand in each other's way", (t) => {
  const claims = new MethodClaims(noneBuiltIn, () => undefined);
  const [older, newer] = [source("lib", "older"), source("lib", "newer")];
  claims.claim(older, registering("m"), SOON());
  claims.claim(newer, registering("m"), SOON());
  claims.release(older.hash);
  t.throws(() => claims.claim(source("other"), registering("m"), SOON()), { message: /by library lib/ });
});

/** A coordinator on which a library registers the methods that its text names. */
function coordinator() {
  const registry = new LibraryRegistry();
  const sandbox = {
    load: async ({ text }: LibrarySource) => registering(...text.split(" ")),
    unload: () => undefined,
    run: () => Promise.reject(new Error("nothing runs here")),
  };
  return new LibraryShelf({
    registry,
    sandbox,
    isBuiltIn: noneBuiltIn,
    checkTasks: () => undefined,
    retentionMs: 1000,
    faults: NO_FAULTS,
  });
}

test("whatever the order in which two loads come by the coordinators, one of them at most is prepared everywhere", async (t) => {
  const libraries = [source("first", "a m"), source("second", "m b")];
  const everywhere = libraries.flatMap((library) => [0, 1, 2].map((at) => ({ library, at })));
  const orders = fc.shuffledSubarray(everywhere, { minLength: everywhere.length });
  await fc.assert(
    fc.asyncProperty(orders, async (order) => {
      const coordinators = [coordinator(), coordinator(), coordinator()];
      const refused = new Set<LibrarySource>();
      for (const { library, at } of order) {
        await coordinators[at]?.prepare(library, SOON()).catch(() => refused.add(library));
      }
      for (const each of coordinators) each.close();
      return refused.size > 0;
    }),
  );
  t.pass();
});
