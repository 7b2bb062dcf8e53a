import test from "ava";
import { builtInMethods } from "../../../src/app/built-in-methods.ts";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf, payloadValue } from "../../../src/base/json-payload.ts";
import { encodePayload } from "../../../src/base/payload.ts";
import { LOG_CAPABILITIES, type LogCapability, type LogLevel } from "../../../src/telemetry/logs.ts";

/** What these methods log, and how to call them with encoded payloads. */
function setup() {
  const lines: string[] = [];
  const write = (level: string) => (_facts: object, message: string) => lines.push(`${level}: ${message}`);
  const logger = {
    trace: write("trace"),
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    fatal: write("fatal"),
  };
  const levels = Object.fromEntries(LOG_CAPABILITIES.map((capability) => [capability, "info"])) as Record<
    LogCapability,
    LogLevel
  >;
  const methods = builtInMethods({
    logs: {
      of: () => logger,
      levels,
      setLevel: (capability, level) => {
        levels[capability] = level;
      },
    },
    refresh: { here: () => Promise.reject(new Error("not in these tests")) } as never,
    topology: () => undefined,
    nodeName: () => "gearmesh-1",
    runId: "run",
    isActive: () => true,
    connections: () => 0,
  });
  const context = { deadline: deadlineIn(1000), signal: NEVER_ABORTED, depth: 0 };
  const call = async (method: string, ...args: readonly Uint8Array[]) => {
    const builtIn = methods.get(method);
    if (!builtIn) throw new Error(`there is no method ${method}`);
    return payloadValue(await builtIn.run({ method, args, caller: "" }, context));
  };
  return { methods, lines, call };
}

test("log writes texts as they are, other values as JSON, and cuts what is long", async (t) => {
  const { lines, call } = setup();
  t.is(await call("log", payloadOf("a text")), true);
  await call("api.log", payloadOf({ a: [1] }), payloadOf("warn"));
  await call("log", payloadOf("x".repeat(10_000)));
  await call("log");
  t.deepEqual(lines, ["info: a text", 'warn: {"a":[1]}', `info: ${"x".repeat(8192)}`, "info: "]);
});

test("what operators do is for admins, and nothing else", (t) => {
  const forAdmins = [...setup().methods].filter(([, { isForAdmins }]) => isForAdmins).map(([name]) => name);
  t.deepEqual(forAdmins, ["log.level", "topology.refresh"]);
});

test("log.level shows the level of each capability, and sets that of one or all", async (t) => {
  const { call } = setup();
  t.like(await call("log.level"), { mesh: "info", tasks: "info" });
  t.like(await call("log.level", payloadOf("mesh"), payloadOf("debug")), { mesh: "debug", tasks: "info" });
  t.like(await call("log.level", payloadOf("all"), payloadOf("silent")), { mesh: "silent", tasks: "silent" });
  for (const args of [["nobody", "debug"], ["mesh", "loud"], ["mesh"]]) {
    const fault = await t.throwsAsync(call("log.level", ...args.map(payloadOf)), { instanceOf: Fault });
    t.is(fault?.code, "INVALID_ARGUMENT");
    t.regex(fault?.message ?? "", /mesh.*all.*debug/);
  }
  t.like(await call("log.level"), { mesh: "silent" });
});

test("a value that JSON.stringify has no stack for is the caller's mistake, not a bug", async (t) => {
  const { lines, call } = setup();
  const deep = encodePayload(`${'{"1":'.repeat(200_000)}0${"}".repeat(200_000)}`);
  for (const method of ["log", "api.log", "ping"]) {
    const fault = await t.throwsAsync(call(method, deep), { instanceOf: Fault });
    t.is(fault?.code, "INVALID_ARGUMENT");
  }
  t.deepEqual(lines, []);
});
