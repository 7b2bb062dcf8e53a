import { readFileSync } from "node:fs";
import { findPackageJSON } from "node:module";

/** The release that runs, from package.json, which is the one place where it stands. */
export function readVersion(): string {
  const path = findPackageJSON("..", import.meta.url);
  if (path === undefined) throw new Error("gearmesh runs outside of its package");
  const { version }: { version: string } = JSON.parse(readFileSync(path, "utf8"));
  return version;
}
