import { readFileSync } from "node:fs";
import test from "ava";
import { EXIT } from "../../../src/cli/exit-codes.ts";
import { COMMANDS, createProgram } from "../../../src/cli/program.ts";

const page = readFileSync(new URL("../../../docs/CLI.md", import.meta.url), "utf8");

test("docs/CLI.md has each command and no other", (t) => {
  const sections = [...page.matchAll(/^### (\S+)$/gm)].map(([, name]) => name);
  t.deepEqual(sections.sort(), Object.keys(COMMANDS).sort());
});

test("docs/CLI.md has each exit code and no other", (t) => {
  const codes = [...page.matchAll(/^\| (\d+) \|/gm)].map(([, code]) => Number(code));
  t.deepEqual(codes, Object.values(EXIT));
});

for (const name of Object.keys(COMMANDS)) {
  test(`docs/CLI.md and --help know ${name} and its options`, async (t) => {
    const program = await createProgram(name, false);
    const command = program.commands.find((one) => one.name() === name);
    for (const one of command ? [command, ...command.commands] : []) {
      for (const { long } of one.options)
        if (long) t.true(page.includes(`\`${long}`) || page.includes(`[${long}`), long);
      let help = "";
      one.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
      t.regex(help, /\nExample:\n {2}\S*.*gearmesh /);
    }
  });
}
