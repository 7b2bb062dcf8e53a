import { readFileSync } from "node:fs";

/** This release, from package.json, which is two folders up both in the repository and in what is published. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
