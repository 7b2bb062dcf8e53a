/** `npm run bench -- <name>`: runs bench/<name>.ts, which prints a table and writes bench/results/<name>.json. */
import { readdirSync } from "node:fs";
import { basename } from "node:path";

const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => basename(file, ".ts"))
  .filter((name) => name !== "run");
const [name] = process.argv.slice(2);
if (name !== undefined && names.includes(name)) {
  await import(`./${name}.ts`);
} else {
  console.error(`usage: npm run bench -- <name>, where name is one of: ${names.join(", ")}`);
  process.exitCode = 2;
}
