import { readFileSync } from "node:fs";
import test from "ava";

const manifest = JSON.parse(readFileSync("package.json", "utf8")) as {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

test("docs/DEPENDENCIES.md says of every dependency why it is there, and of nothing else", (t) => {
  const table = readFileSync("docs/DEPENDENCIES.md", "utf8").match(/^\| `.*$/gm) ?? [];
  const documented = table.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  const installed = Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
  t.deepEqual(documented.sort(), installed.sort());
});
