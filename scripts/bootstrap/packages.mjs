import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";

import { exitCodeOf, run } from "./run.mjs";
import { installSystemPackage } from "./system-packages.mjs";

/** npm writes it at the end of an installation. */
const INSTALLED = "node_modules/.package-lock.json";
const LOCK = "package-lock.json";

/** Installs the packages where they are missing or older than the lock file. */
export async function ensurePackages() {
  if (modifiedMs(INSTALLED) >= modifiedMs(LOCK)) return;
  const startedAt = performance.now();
  console.error("gearmesh: installing packages (npm ci), about a minute the first time ...");
  const end = await run({
    command: "npm",
    args: ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"],
    quiet: true,
  });
  if (exitCodeOf(end) !== 0) throw new Error("npm ci failed; its messages stand above");
  console.error(`gearmesh: packages installed in ${Math.round((performance.now() - startedAt) / 1000)} s`);
}

/** Makes sure that the Node of node_modules runs: its binary needs libatomic, which slim systems lack.
 * @param {string} node
 */
export async function ensureNode(node) {
  const complaint = complaintOf(node);
  if (complaint === undefined) return;
  if (!complaint.includes("libatomic")) throw new Error(`${node} does not run: ${complaint}`);
  await installSystemPackage("libatomic");
  const still = complaintOf(node);
  if (still !== undefined) throw new Error(`${node} does not run: ${still}`);
}

/** @param {string} node */
function complaintOf(node) {
  const { status, stderr, error } = spawnSync(node, ["--version"], { encoding: "utf8" });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

/** @param {string} path */
function modifiedMs(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}
