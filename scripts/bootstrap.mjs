/**
 * Entry of the npm scripts: installs what is missing, then runs the command on the Node of node_modules. It must run on
 * Node 20 with nothing installed, hence plain JavaScript. Says everything on stderr: stdout is the command's.
 */
import { resolve } from "node:path";

import { ensureKubectl } from "./bootstrap/kubectl.mjs";
import { ensureNode, ensurePackages } from "./bootstrap/packages.mjs";
import { exitCodeOf, run } from "./bootstrap/run.mjs";
import { ensureImageTools, ensurePrometheus, ensurePythonGrpc, ensureRedis } from "./bootstrap/system-packages.mjs";

process.chdir(resolve(import.meta.dirname, ".."));

const node = resolve("node_modules/.bin/node");
const ava = resolve("node_modules/.bin/ava");
const main = "src/cli/main.ts";
/** Each of the many processes would strip and compile some 400 files anew: half of a coordinator's start. Not for benchmarks, which measure that. */
const compileCache = { NODE_COMPILE_CACHE: resolve("node_modules/.cache/compiled") };

/**
 * @type {Record<string, { redis: boolean, python?: boolean, prometheus?: boolean, kubectl?: boolean, imageTools?: boolean,
 *   steps: (args: string[]) => import("./bootstrap/run.mjs").Step[] }>}
 */
const COMMANDS = {
  start: { redis: true, steps: (args) => [{ command: node, args: [main, "dev", ...args], env: compileCache }] },
  gearmesh: { redis: false, steps: (args) => [{ command: node, args: [main, ...args] }] },
  test: {
    redis: true,
    python: true,
    prometheus: true,
    kubectl: true,
    steps: (args) => [
      { command: "npm", args: ["run", "-s", "check"] },
      { command: node, args: [ava, ...args], env: compileCache },
    ],
  },
  "test:full": {
    redis: true,
    python: true,
    prometheus: true,
    kubectl: true,
    steps: (args) => [{ command: node, args: [ava, ...args], env: { ...compileCache, GEARMESH_TEST_SUITE: "full" } }],
  },
  "test:image": {
    redis: true,
    python: true,
    imageTools: true,
    steps: (args) => [{ command: node, args: [ava, ...args], env: { GEARMESH_TEST_SUITE: "image" } }],
  },
  bench: { redis: true, steps: (args) => [{ command: node, args: ["bench/run.ts", ...args] }] },
};

const [name = "", ...args] = process.argv.slice(2);
const command = COMMANDS[name];
if (!command) {
  console.error(`usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join(" | ")} [arguments]`);
  process.exit(2);
}

try {
  await ensurePackages();
  await ensureNode(node);
  if (command.redis) await ensureRedis();
  if (command.python) await ensurePythonGrpc();
  if (command.prometheus) await ensurePrometheus();
  if (command.kubectl) await ensureKubectl();
  if (command.imageTools) await ensureImageTools();
  for (const step of command.steps(args)) {
    process.exitCode = exitCodeOf(await run({ ...step, ownSession: true }));
    if (process.exitCode !== 0) break;
  }
} catch (error) {
  console.error(`gearmesh: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
