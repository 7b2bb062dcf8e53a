/**
 * Adds to the lock files the packages for other systems that npm left out: it writes only those that its registry has,
 * and a mirror may hold those of its own systems alone. `npm ci` refuses a lock file with such gaps. Run after `npm install`.
 */
import { readFileSync, writeFileSync } from "node:fs";

interface LockedPackage {
  readonly version: string;
  readonly dev?: boolean;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const CPUS: Readonly<Record<string, string>> = { x64: "x64", arm64: "arm64", aarch64: "arm64", armv7: "arm" };

const LOCKS = ["package-lock.json", "bench/peers/package-lock.json"];

for (const file of LOCKS) complete(file);

function complete(file: string): void {
  const lock: { packages: Record<string, LockedPackage> } = JSON.parse(readFileSync(file, "utf8"));
  for (const { dev, optionalDependencies } of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies ?? {})) {
      const path = `node_modules/${name}`;
      const [, system, arch, musl] = /-(android|darwin|freebsd|linux|win32)-([a-z0-9]+)(-musl)?$/.exec(name) ?? [];
      if (lock.packages[path] || !system || !arch) continue;
      const cpu = CPUS[arch];
      if (!cpu) throw new Error(`${name}: unknown processor ${arch}; add it to CPUS`);
      const added = { version, cpu: [cpu], ...(dev && { dev }), ...(musl && { libc: ["musl"] }) };
      lock.packages[path] = Object.assign(added, { optional: true, os: [system] });
      console.log(`${file}: added ${name}@${version}`);
    }
  }

  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
