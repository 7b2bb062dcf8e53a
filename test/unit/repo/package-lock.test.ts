import { readFileSync } from "node:fs";
import test from "ava";

test("package-lock.json holds every system's packages, without which npm ci refuses it", (t) => {
  const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const needed = Object.values(packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}));
  const missing = needed.filter((name) => !packages[`node_modules/${name}`]);
  t.deepEqual(missing, [], "run: npm run lock");
});
