import { readFileSync } from "node:fs";
import test from "ava";

/** The names of the packages that a package.json asks for. */
function dependenciesOf(file: string): readonly string[] {
  const manifest = JSON.parse(readFileSync(file, "utf8")) as Record<
    "dependencies" | "devDependencies",
    Record<string, string> | undefined
  >;
  return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies });
}

test("docs/DEPENDENCIES.md says of every dependency why it is there, and of nothing else", (t) => {
  const table = readFileSync("docs/DEPENDENCIES.md", "utf8").match(/^\| `.*$/gm) ?? [];
  const documented = table.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  const installed = [...dependenciesOf("package.json"), ...dependenciesOf("bench/peers/package.json")];
  t.deepEqual(documented.sort(), installed.sort());
});
