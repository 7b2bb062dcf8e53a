import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

import { exitCodeOf, run } from "./run.mjs";

/** @typedef {"redis" | "libatomic" | "prometheus" | "Python's grpc packages" | "buildah and debootstrap"} Need */

const PYTHON_GRPC = "Python's grpc packages";
const IMAGE_TOOLS = "buildah and debootstrap";

/**
 * Debian starts a service as soon as it is installed, on the very port that a user may want; a policy of 101 forbids it for
 * the time of the installation.
 */
const APT = (/** @type {string} */ name) => `
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then trap 'rm -f $policy' EXIT; printf '#!/bin/sh\\nexit 101\\n' > $policy; chmod 755 $policy; fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${name}`;

/**
 * Package managers, the first one found is used. `script` is what installs, `command` what a person would type.
 * @type {{ tool: string, asRoot: boolean, names: Partial<Record<Need, string>>, command: (name: string) => string,
 *   script?: (name: string) => string }[]}
 */
const MANAGERS = [
  {
    tool: "apt-get",
    asRoot: true,
    names: {
      redis: "redis-server",
      libatomic: "libatomic1",
      prometheus: "prometheus",
      [PYTHON_GRPC]: "python3-grpcio python3-grpc-tools",
      [IMAGE_TOOLS]: "buildah debootstrap",
    },
    command: (name) => `apt-get install -y ${name}`,
    script: APT,
  },
  {
    tool: "dnf",
    asRoot: true,
    names: {
      redis: "/usr/bin/redis-server",
      libatomic: "libatomic",
      prometheus: "golang-github-prometheus",
      [PYTHON_GRPC]: "python3-grpcio python3-grpcio-tools",
    },
    command: (name) => `dnf install -y ${name}`,
  },
  {
    tool: "apk",
    asRoot: true,
    names: {
      redis: "redis",
      libatomic: "libatomic",
      prometheus: "prometheus",
      [PYTHON_GRPC]: "py3-grpcio py3-grpcio-tools",
    },
    command: (name) => `apk add ${name}`,
  },
  {
    tool: "pacman",
    asRoot: true,
    names: {
      redis: "valkey",
      libatomic: "gcc-libs",
      prometheus: "prometheus",
      [PYTHON_GRPC]: "python-grpcio python-grpcio-tools",
    },
    command: (name) => `pacman -Sy --noconfirm ${name}`,
  },
  {
    tool: "brew",
    asRoot: false,
    names: { redis: "redis", libatomic: "gcc", prometheus: "prometheus", [PYTHON_GRPC]: "grpc" },
    command: (name) => `brew install ${name}`,
  },
];

/** Installs Redis where neither it nor Valkey is there. */
export async function ensureRedis() {
  if (isOnPath("redis-server") || isOnPath("valkey-server")) return;
  await installSystemPackage("redis");
}

/** Installs what the test of a client in another language needs: the system's own Python and its grpc packages. */
export async function ensurePythonGrpc() {
  const found = spawnSync("/usr/bin/python3", ["-c", "import grpc, grpc_tools"]);
  if (found.status !== 0) await installSystemPackage(PYTHON_GRPC);
}

/** Installs what reads the metrics and checks the alerts: Prometheus and its promtool. */
export async function ensurePrometheus() {
  if (!isOnPath("prometheus") || !isOnPath("promtool")) await installSystemPackage("prometheus");
}

/** Installs what builds an image without an engine, over a base image made here. */
export async function ensureImageTools() {
  if (!isOnPath("buildah") || !isOnPath("debootstrap")) await installSystemPackage(IMAGE_TOOLS);
}

/** Installs with the system's package manager where that needs no password; otherwise rejects with the command to type.
 * @param {Need} need
 */
export async function installSystemPackage(need) {
  const manager = MANAGERS.find(({ tool, names }) => isOnPath(tool) && names[need]);
  if (!manager) {
    throw new Error(`${need} is missing, and no known package manager is here to install it; install it and try again`);
  }
  const name = manager.names[need] ?? need;
  const command = manager.command(name);
  const asUser = !manager.asRoot || process.getuid?.() === 0;
  if (!asUser && spawnSync("sudo", ["-n", "true"]).status !== 0) {
    throw new Error(`${need} is missing. Install it and try again:\n  sudo ${command}`);
  }
  console.error(`gearmesh: ${need} is missing, installing it (${command}) ...`);
  const shell = ["sh", "-c", manager.script?.(name) ?? command];
  const [program = "", ...args] = asUser ? shell : ["sudo", "-n", ...shell];
  if (exitCodeOf(await run({ command: program, args, quiet: true })) !== 0) {
    throw new Error(`${need} could not be installed. Install it and try again:\n  ${asUser ? "" : "sudo "}${command}`);
  }
}

/** @param {string} program */
function isOnPath(program) {
  return (process.env.PATH ?? "").split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
