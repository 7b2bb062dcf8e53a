import test from "ava";
import { createLogger } from "../../../src/telemetry/logger.ts";

const SECRET = 'correct-horse"battery';

function logged(format: "json" | "pretty" = "json") {
  const lines: string[] = [];
  let name = "gearmesh-?";
  const secrets = [SECRET, ""];
  const logger = createLogger({
    level: "info",
    format,
    nodeName: () => name,
    secrets: () => secrets,
    output: { write: (line) => lines.push(line) },
  });
  return { lines, logger, rename: (to: string) => (name = to) };
}

test("every line carries the node's name of that moment", (t) => {
  const { lines, logger, rename } = logged();
  logger.info({}, "first");
  rename("gearmesh-2");
  logger.info({ shard: "a" }, "second");
  const [first, second] = lines.map((line) => JSON.parse(line));
  t.like(first, { level: "info", node: "gearmesh-?", msg: "first" });
  t.like(second, { node: "gearmesh-2", shard: "a", msg: "second" });
});

test("secrets are cut out wherever they stand", (t) => {
  const { lines, logger } = logged();
  const error = new Error(`AUTH ${SECRET} failed`, { cause: { command: { args: ["default", SECRET] } } });
  logger.error({ error, password: SECRET, nested: { deep: [SECRET] } }, `with ${SECRET}`);
  const text = lines.join("");
  t.false(text.includes("correct-horse"));
  t.notThrows(() => JSON.parse(text));
  t.regex(text, /AUTH \[secret\] failed/);
});

test("a level below the set one writes nothing", (t) => {
  const { lines, logger } = logged();
  logger.debug({}, "quiet");
  t.deepEqual(lines, []);
});

test("the pretty format is for people: name and message, no JSON around them", (t) => {
  const { lines, logger } = logged("pretty");
  logger.warn({ shard: "a" }, `look ${SECRET}`);
  t.regex(lines.join(""), /WARN.*\[gearmesh-\?\] look \[secret\]/);
});

test("a message is one line in the pretty format, whatever it says", (t) => {
  const { lines, logger } = logged("pretty");
  logger.info({}, "first\r\n[12:00:00.000] INFO: [gearmesh-?] forged\u001b[2K\u0085\u009b\u2028ä\ttab");
  const text = lines.join("");
  t.regex(text, /first\\r\\n\[12:00:00\.000\] INFO: \[gearmesh-\?\] forged\\u001b\[2K\\u0085\\u009b\\u2028ä\\ttab\n$/);
  t.is(text.split("\n").length, 2);
});
