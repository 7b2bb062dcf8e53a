import test from "ava";
import { LibraryCounters } from "../../../src/functions/run-counters.ts";

test("runs are counted by kind and name, and only of what the library registered", (t) => {
  const counters = new LibraryCounters({
    functions: [{ name: "f", isAsync: false, flags: [], description: "" }],
    remoteFunctions: ["f", "r"],
    rpcMethods: ["f"],
    tasks: [],
    middleware: [],
  });
  counters.ended("function", "f", true, 0.5);
  counters.ended("function", "f", false, 0.25);
  counters.ended("remote", "f", true, 2);
  counters.ended("method", "f", false, 4);
  counters.ended("function", "r", true, 1);
  t.deepEqual(counters.of("function", "f"), { calls: 2, errors: 1, totalSeconds: 0.75 });
  t.deepEqual(counters.of("remote", "f"), { calls: 1, errors: 0, totalSeconds: 2 });
  t.deepEqual(counters.of("method", "f"), { calls: 1, errors: 1, totalSeconds: 4 });
  t.deepEqual(counters.of("remote", "r"), { calls: 0, errors: 0, totalSeconds: 0 });
  t.is(counters.of("function", "r").calls, 0);
});
