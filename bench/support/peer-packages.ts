import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PEERS = fileURLToPath(new URL("../peers", import.meta.url));

/** Installs what bench/peers names, where it is missing or older than its lock file. None of it needs its install scripts. */
export async function ensurePeerPackages(): Promise<void> {
  if (modifiedMs("node_modules/.package-lock.json") >= modifiedMs("package-lock.json")) return;
  console.error("installing the peers of the benches (npm ci in bench/peers) ...");
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = spawn("npm", args, { cwd: PEERS, stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(npm, "exit");
  if (code !== 0) throw new Error("npm ci failed in bench/peers; its messages stand above");
}

function modifiedMs(file: string): number {
  return statSync(join(PEERS, file), { throwIfNoEntry: false })?.mtimeMs ?? Number.NEGATIVE_INFINITY;
}
