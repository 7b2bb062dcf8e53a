import test from "ava";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import type { Connection } from "../../../src/connections/connection.ts";
import { ConnectionNetwork, contextOf, heardOf, payloads } from "../../support/connection-network.ts";
import { faultOf, faultText } from "../../support/fault-of.ts";

const MAX_VALUES = 256;
const MAX_VALUES_BYTES = 64 * 1024;

function valuesOf(values: ReadonlyMap<string, Uint8Array>): Record<string, unknown> {
  return Object.fromEntries([...values].map(([key, value]) => [key, payloadValue(value)]));
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await faultOf(call)).code;
}

test("operations on one connection happen one after the other, in the order in which they were asked for", async (t) => {
  const { a, directory } = new ConnectionNetwork();
  const { connection } = await a.open();
  const put = a.directory.stop("put", "request");
  const done: string[] = [];
  const all = ["a", "b", "c"].map((key, index) => a.operate(connection, "set", key, index).then(() => done.push(key)));
  const sent = a.operate(connection, "sendMessage", "last").then(() => done.push("last"));
  await put.reached;
  t.deepEqual(valuesOf(connection.attributes), { a: 0 });
  t.deepEqual(heardOf(connection).heard, []);
  put.release();
  await Promise.all([...all, sent]);
  t.deepEqual(done, ["a", "b", "c", "last"]);
  t.deepEqual(heardOf(connection).heard, ["last"]);
  t.deepEqual(valuesOf(directory.record(connection.id)?.details.attributes ?? new Map()), { a: 0, b: 1, c: 2 });
});

test("a value that could not be written down is as it was", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  await a.operate(connection, "set", "old", 1);
  for (const code of ["UNAVAILABLE", "INDETERMINATE"] as const) {
    a.directory.refused.set("put", code);
    t.is(await codeOf(a.operate(connection, "set", "old", 2)), code);
    t.is(await codeOf(a.operate(connection, "set", "new", 2)), code);
    t.deepEqual(valuesOf(connection.attributes), { old: 1 });
  }
  a.directory.refused.clear();
  await a.operate(connection, "set", "new", 2);
  t.deepEqual(valuesOf(connection.attributes), { old: 1, new: 2 });
});

test("values are bounded by how many they are and by their bytes, and a refused one changes nothing", async (t) => {
  const { a } = new ConnectionNetwork();
  const many = (await a.open()).connection;
  for (let i = 0; i < MAX_VALUES; i++) await a.operate(many, "set", `k${i}`, i);
  t.regex(
    await faultText(a.operate(many, "set", "more", 1)),
    /^RESOURCE_EXHAUSTED: .* 256 values at most.* 65536 bytes/,
  );
  await a.operate(many, "set", "k0", "another");
  t.is(many.attributes.size, MAX_VALUES);
  const large = (await a.open()).connection;
  const overhead = payloadOf(new Uint8Array(60_000)).length - 60_000;
  const fitting = MAX_VALUES_BYTES - overhead - "key".length;
  t.is(await codeOf(a.operate(large, "set", "key", new Uint8Array(fitting + 1))), "RESOURCE_EXHAUSTED");
  t.is(large.attributes.size, 0);
  await a.operate(large, "set", "key", new Uint8Array(fitting));
  t.is(await codeOf(a.operate(large, "set", "x", 1)), "RESOURCE_EXHAUSTED");
  // Its own former value does not count.
  await a.operate(large, "set", "key", new Uint8Array(fitting));
  await a.operate(large, "set", "key", 1);
  await a.operate(large, "set", "x", 1);
  // Bytes, not characters.
  t.is(await codeOf(a.operate(large, "set", "ü".repeat(MAX_VALUES_BYTES / 2), 1)), "RESOURCE_EXHAUSTED");
  t.is(await codeOf(a.operate(large, "set", "", 1)), "INVALID_ARGUMENT");
  t.is(await codeOf(a.operate(large, "set", 5, 1)), "INVALID_ARGUMENT");
});

test("what a client keeps on its connection has the same bounds, and is written down", async (t) => {
  const { a, directory } = new ConnectionNetwork();
  const { connection } = await a.open();
  const say = (verb: string, ...args: unknown[]) =>
    a.verbs.run(connection, { verb, args: payloads(...args) }, contextOf()).then(payloadValue);
  for (let i = 0; i < MAX_VALUES; i++) await say("paramAdd", `k${i}`, i);
  t.is(await codeOf(say("paramAdd", "more", 1)), "RESOURCE_EXHAUSTED");
  await say("paramDelete", "k0");
  await say("paramAdd", "more", 1);
  t.is(await say("paramView", "more"), 1);
  t.is(await say("paramView", "k0"), null);
  const kept = valuesOf(directory.record(connection.id)?.details.params ?? new Map());
  t.deepEqual([kept["more"], kept["k0"], Object.keys(kept).length], [1, undefined, MAX_VALUES]);
});

test("values are copies: what they were made of may change", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  const [key, value] = payloads("k", "kept");
  if (!key || !value) return t.fail();
  await a.operations.run("set", connection, [key, value], contextOf());
  value.fill(0);
  t.deepEqual(valuesOf(connection.attributes), { k: "kept" });
});

test("a message that no connection could keep is refused, and one that it could is kept", async (t) => {
  const { a } = new ConnectionNetwork({ maxWaitingBytes: 1000 });
  const { connection } = await a.openAndLeave();
  t.is(await codeOf(a.operate(connection, "sendMessage", new Uint8Array(1000))), "RESOURCE_EXHAUSTED");
  await a.operate(connection, "sendMessage", "small");
  await a.operate(connection, "sendMessage", "x".repeat(900));
  t.is(await codeOf(a.operate(connection, "sendMessage")), "INVALID_ARGUMENT");
  t.deepEqual(heardOf(connection).heard, ["small", "x".repeat(900)]);
});

test("operations that wait for one connection are bounded", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  const put = a.directory.stop("put", "request");
  const waiting = Array.from({ length: 1024 }, (_, i) => a.operate(connection, i === 0 ? "set" : "sendMessage", "k"));
  t.is(await codeOf(a.operate(connection, "sendMessage", "more")), "RESOURCE_EXHAUSTED");
  put.release();
  await Promise.all(waiting);
  await a.operate(connection, "sendMessage", "more");
});

test("an operation that fails does not stop the next", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  a.rooms.isAway = true;
  const joined = codeOf(a.operate(connection, "joinRoom", "lobby"));
  const set = a.operate(connection, "set", "k", 1);
  t.is(await joined, "UNAVAILABLE");
  await set;
  t.deepEqual([...connection.rooms], []);
  t.is(await codeOf(a.operate(connection, "dance")), "UNKNOWN_METHOD");
  t.false(a.operations.has("dance"));
});

test("rooms are in the record while the connection is in them", async (t) => {
  const { a, directory } = new ConnectionNetwork();
  const { connection } = await a.open();
  const written = ({ id }: Connection) => directory.record(id)?.details.rooms;
  await a.operate(connection, "joinRoom", "lobby");
  await a.operate(connection, "joinRoom", "bar");
  t.deepEqual(written(connection), ["lobby", "bar"]);
  await a.operate(connection, "leaveRoom", "lobby");
  t.deepEqual(written(connection), ["bar"]);
  await a.operate(connection, "destroy");
  t.deepEqual(a.rooms.asked.at(-1), `leaveAll ${connection.id} bar`);
});
