import { readFileSync } from "node:fs";
import test from "ava";

interface LockedPackage {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

for (const file of ["package-lock.json", "bench/peers/package-lock.json"]) {
  const { packages } = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockedPackage> };

  test(`${file} holds every system's packages, without which npm ci refuses it`, (t) => {
    const needed = Object.values(packages).flatMap(({ optionalDependencies = {} }) =>
      Object.keys(optionalDependencies),
    );
    const missing = needed.filter((name) => !packages[`node_modules/${name}`]);
    t.deepEqual(missing, [], "run: npm run lock");
  });

  test(`${file} names no registry: packages come from the one that is set up`, (t) => {
    const named = Object.keys(packages).filter((path) => packages[path]?.resolved !== undefined);
    t.deepEqual(named, [], "run: npm run lock");
  });
}
