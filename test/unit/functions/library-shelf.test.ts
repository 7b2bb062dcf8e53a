import { mock } from "node:test";
import test from "ava";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { NO_FAULTS } from "../../../src/functions/fault-points.ts";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { LibraryShelf } from "../../../src/functions/library-shelf.ts";
import { type LibraryVersion, librarySource } from "../../../src/functions/library-version.ts";
import type { LibrarySource, Sandbox } from "../../../src/functions/sandbox-port.ts";

const RETENTION_MS = 1000;

test.before(() => mock.timers.enable({ apis: ["setTimeout"] }));
test.after.always(() => mock.timers.reset());

function newShelf() {
  const loaded = new Set<string>();
  const sandbox: Sandbox = {
    load: async ({ hash }) => {
      loaded.add(hash);
      return { functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] };
    },
    unload: (hash) => loaded.delete(hash),
    run: () => Promise.reject(new Error("nothing runs here")),
  };
  const registry = new LibraryRegistry();
  const shelf = new LibraryShelf({
    registry,
    sandbox,
    isBuiltIn: () => false,
    checkTasks: () => undefined,
    retentionMs: RETENTION_MS,
    faults: NO_FAULTS,
  });
  return { shelf, registry, has: ({ hash }: LibrarySource) => loaded.has(hash) };
}

function version(revision: number, text: string): LibraryVersion & { readonly source: LibrarySource } {
  return { name: "lib", revision, source: librarySource("lib", text, "{}") };
}

test.serial("a version that is served again, and replaced again, keeps its whole time from then on", async (t) => {
  const { shelf, registry, has } = newShelf();
  const [a, b] = [version(1, "a"), version(2, "b")];
  await shelf.adopt(a);
  await shelf.adopt(b);
  mock.timers.tick(RETENTION_MS - 1);
  await shelf.prepare(a.source, deadlineIn(RETENTION_MS));
  await shelf.adopt({ ...a, revision: 3 });
  await shelf.adopt({ ...b, revision: 4 });
  mock.timers.tick(RETENTION_MS - 1);
  t.true(has(a.source), "calls that began on it a moment ago may still run");
  t.is(registry.pinned(a.source.hash)?.source.text, "a");
  mock.timers.tick(1);
  t.false(has(a.source));
  t.is(registry.pinned(a.source.hash), undefined);
  t.true(has(b.source), "the one that is served stays");
  shelf.close();
});

test.serial("a version that nobody adopts is forgotten, and so is one that a newer one overtook", async (t) => {
  const { shelf, registry, has } = newShelf();
  const [prepared, older, newest] = [version(1, "prepared"), version(2, "older"), version(3, "newest")];
  await shelf.prepare(prepared.source, deadlineIn(RETENTION_MS));
  t.is(registry.pinned(prepared.source.hash), undefined, "prepared is not served");
  // The older one is still being loaded when the newest is adopted.
  const late = shelf.adopt(older);
  registry.adopt(newest, { functions: [], remoteFunctions: [], rpcMethods: [], tasks: [], middleware: [] });
  await late;
  t.true(has(older.source));
  mock.timers.tick(RETENTION_MS);
  t.false(has(prepared.source));
  t.is(registry.pinPrepared(prepared.source.hash), undefined);
  t.false(has(older.source));
  t.is(registry.library("lib")?.version, newest);
  shelf.close();
});
