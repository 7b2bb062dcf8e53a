import { readFileSync } from "node:fs";

// package.json is two folders up both in the repository and in what is published.
const MANIFEST: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

/** This release. */
export const VERSION = MANIFEST.version;
