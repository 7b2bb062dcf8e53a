import test from "ava";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { type Method, type MethodProvider, MethodTable } from "../../../src/rpc/method-table.ts";

function answering(text: string): Method {
  return async () => Buffer.from(text);
}

function provider(name: string, isPresent = true): MethodProvider {
  return { isPresent, run: answering(name) };
}

function table(libraryMethods: readonly string[] = [], mayHaveMore = false): MethodTable {
  return new MethodTable(new Map([["ping", { run: answering("built in"), isForAdmins: false }]]), {
    has: (method) => libraryMethods.includes(method),
    mayHaveMore: () => mayHaveMore,
    run: answering("library"),
  });
}

async function servedBy(methods: MethodTable, method: string): Promise<string | undefined> {
  const context = { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 0 };
  const found = methods.find(method);
  return found && String(await found({ method, args: [], caller: "" }, context));
}

test("providers of one method take turns, and one that lost its link is passed over", async (t) => {
  const methods = table();
  for (const name of ["a", "b", "c"]) methods.register("m", provider(name, name !== "b"));
  const served: (string | undefined)[] = [];
  for (let i = 0; i < 4; i++) served.push(await servedBy(methods, "m"));
  t.deepEqual(served, ["a", "c", "a", "c"]);
  t.is(await servedBy(methods, "other"), undefined);
});

test("where all who serve a method have lost their links, it is not unknown but unavailable", (t) => {
  const methods = table();
  methods.register("m", provider("a", false));
  t.is(t.throws(() => methods.find("m"), { instanceOf: Fault })?.code, "UNAVAILABLE");
});

test("built in comes before libraries, and these before clients", async (t) => {
  const methods = table(["ping", "lib"]);
  methods.register("lib", provider("client"));
  t.is(await servedBy(methods, "ping"), "built in");
  t.is(await servedBy(methods, "lib"), "library");
});

test("a name is registered once by one provider, and not at all where it is built in or none", (t) => {
  const methods = table();
  const one = provider("one");
  methods.register("m", one);
  methods.register("m", provider("other"));
  const code = (register: () => void) => t.throws(register, { instanceOf: Fault })?.code;
  t.is(
    code(() => methods.register("m", one)),
    "METHOD_EXISTS",
  );
  t.is(
    code(() => methods.register("ping", one)),
    "METHOD_EXISTS",
  );
  t.is(
    code(() => methods.register("", one)),
    "INVALID_ARGUMENT",
  );
  t.is(
    code(() => methods.register("x".repeat(129), one)),
    "INVALID_ARGUMENT",
  );
  t.is(
    code(() => methods.assertRegistrable(["x", "x"])),
    "METHOD_EXISTS",
  );
  t.is(
    code(() => methods.unregister("n", one)),
    "UNKNOWN_METHOD",
  );
  t.is(
    code(() => methods.assertRegistrable(Array.from({ length: 1001 }, (_, i) => `m${i}`))),
    "RESOURCE_EXHAUSTED",
  );
});

test("a provider that leaves takes its methods with it, and only its own", async (t) => {
  const methods = table();
  const [one, other] = [provider("one"), provider("other")];
  methods.register("m", one);
  methods.register("n", one);
  methods.register("m", other);
  t.is(methods.registered, 3);
  methods.unregisterAll(one);
  t.is(methods.registered, 1);
  t.is(await servedBy(methods, "m"), "other");
  t.is(await servedBy(methods, "n"), undefined);
  methods.unregister("m", other);
  t.is(await servedBy(methods, "m"), undefined);
});

test("while a node may not have heard of all libraries, they are asked for what nobody else has", async (t) => {
  const methods = table([], true);
  methods.register("m", provider("a"));
  t.is(await servedBy(methods, "m"), "a");
  t.is(await servedBy(methods, "unheard"), "library");
  t.is(await servedBy(table(), "unheard"), undefined);
});
