import test from "ava";
import { Logs } from "../../../src/telemetry/logs.ts";

function logged() {
  const lines: { capability: string; msg: string; level: string }[] = [];
  const secrets = ["a-secret-of-some-length"];
  const logs = new Logs({
    level: "info",
    levels: { mesh: "debug", tasks: "error" },
    format: "json",
    nodeName: () => "gearmesh-1",
    secrets: () => secrets,
    output: { write: (line) => lines.push(JSON.parse(line)) },
  });
  const speak = (): readonly string[] => {
    lines.length = 0;
    for (const capability of ["mesh", "tasks", "rooms"] as const) {
      const logger = logs.of(capability);
      logger.debug({}, "a-secret-of-some-length");
      logger.info({}, "news");
      logger.error({}, "trouble");
    }
    return lines.map(({ capability, level }) => `${capability} ${level}`);
  };
  return { logs, lines, speak };
}

test("each capability has a level of its own, and its lines its name", (t) => {
  const { logs, lines, speak } = logged();
  t.deepEqual(speak(), ["mesh debug", "mesh info", "mesh error", "tasks error", "rooms info", "rooms error"]);
  t.is(lines[0]?.msg, "[secret]");
  t.like(logs.levels, { mesh: "debug", tasks: "error", rooms: "info", coordinator: "info" });
});

test("a level that is changed holds for lines to come, of that capability alone", (t) => {
  const { logs, speak } = logged();
  logs.setLevel("mesh", "silent");
  logs.setLevel("tasks", "trace");
  t.deepEqual(speak(), ["tasks debug", "tasks info", "tasks error", "rooms info", "rooms error"]);
  t.like(logs.levels, { mesh: "silent", tasks: "trace", rooms: "info" });
});
