import test from "ava";
import { LibraryRegistry } from "../../../src/functions/library-registry.ts";
import { type LibraryVersion, librarySource } from "../../../src/functions/library-version.ts";
import type { Registrations } from "../../../src/functions/sandbox-port.ts";

const REGISTRATIONS: Registrations = {
  functions: [{ name: "f", isAsync: true, flags: [], description: "" }],
  remoteFunctions: ["r"],
  rpcMethods: ["room.join"],
  tasks: [],
  middleware: [],
};

function version(revision: number, text = `text ${revision}`): LibraryVersion {
  return { name: "lib", revision, source: librarySource("lib", text, "{}") };
}

test("the newest version is served and the one before it stays pinned until it is retired", (t) => {
  const registry = new LibraryRegistry();
  const [first, second] = [version(1), version(2)];
  registry.adopt(first, REGISTRATIONS);
  const replaced = registry.adopt(second, REGISTRATIONS);
  t.is(replaced?.version, first);
  t.is(registry.function("lib.f")?.library.version, second);
  t.is(registry.pinned(first.source?.hash ?? "")?.source, first.source);
  t.true(registry.retire(first.source?.hash ?? ""));
  t.is(registry.pinned(first.source?.hash ?? ""), undefined);
});

test("an older version that arrives late changes nothing", (t) => {
  const registry = new LibraryRegistry();
  registry.adopt(version(2), REGISTRATIONS);
  t.is(registry.adopt(version(1), REGISTRATIONS), undefined);
  t.is(registry.library("lib")?.version.revision, 2);
});

test("two versions with one revision end on the same one in either order", (t) => {
  const [a, b] = [version(1, "a"), version(1, "b")];
  const ends = [
    [a, b],
    [b, a],
  ].map((order) => {
    const registry = new LibraryRegistry();
    for (const each of order) registry.adopt(each, REGISTRATIONS);
    return registry.library("lib")?.source.hash;
  });
  t.is(ends[0], ends[1]);
});

test("a deletion withdraws the functions, keeps running versions pinned and outlives a late load", (t) => {
  const registry = new LibraryRegistry();
  const first = version(1);
  registry.adopt(first, REGISTRATIONS);
  registry.adopt({ name: "lib", revision: 2, source: undefined }, undefined);
  registry.adopt(first, REGISTRATIONS);
  t.is(registry.function("lib.f"), undefined);
  t.deepEqual(registry.list(), []);
  t.is(registry.pinned(first.source?.hash ?? "")?.source, first.source);
});

test("a version that was loaded again is not retired by the timer of its first time", (t) => {
  const registry = new LibraryRegistry();
  registry.adopt(version(1, "a"), REGISTRATIONS);
  registry.adopt(version(2, "b"), REGISTRATIONS);
  const again = version(3, "a");
  registry.adopt(again, REGISTRATIONS);
  t.false(registry.retire(again.source?.hash ?? ""));
  t.is(registry.function("lib.f")?.library.version, again);
});

test("a method is served by its library, the newest version, until that is deleted", (t) => {
  const registry = new LibraryRegistry();
  const [first, second] = [version(1), version(2)];
  registry.adopt(first, { ...REGISTRATIONS, rpcMethods: ["a", "b"], tasks: [], middleware: [] });
  registry.adopt(second, { ...REGISTRATIONS, rpcMethods: ["b", "c"], tasks: [], middleware: [] });
  t.is(registry.method("a"), undefined);
  t.is(registry.method("b")?.version, second);
  t.deepEqual(registry.methods(), ["b", "c"]);
  registry.adopt({ name: "lib", revision: 3, source: undefined }, undefined);
  t.deepEqual(registry.methods(), []);
  t.is(registry.method("b"), undefined);
});

test("where two libraries have a method all the same, every coordinator chooses the same one, in whichever order they came", (t) => {
  const named = (name: string): LibraryVersion => ({ name, revision: 1, source: librarySource(name, "", "{}") });
  for (const order of [
    ["first", "second"],
    ["second", "first"],
  ]) {
    const registry = new LibraryRegistry();
    for (const name of order) registry.adopt(named(name), REGISTRATIONS);
    t.is(registry.method("room.join")?.source.name, "first");
    registry.adopt({ name: "first", revision: 2, source: undefined }, undefined);
    t.is(registry.method("room.join")?.source.name, "second");
  }
});
