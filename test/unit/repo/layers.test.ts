import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** Runs the layer check over a copy of src in which `file` also holds `code`. */
function checkWith(file: string, code: string): { exitCode: number | null; report: string } {
  const root = mkdtempSync(join(tmpdir(), "gearmesh-layers-"));
  try {
    cpSync(join(repository, "src"), join(root, "src"), { recursive: true });
    mkdirSync(dirname(join(root, "src", file)), { recursive: true });
    writeFileSync(join(root, "src", file), `/** Planted. */\n\n${code}\n`);
    const check = spawnSync(process.execPath, [join(repository, "scripts/check-layers.ts"), root], {
      encoding: "utf8",
    });
    return { exitCode: check.status, report: check.stderr };
  } finally {
    rmSync(root, { recursive: true });
  }
}

const FORBIDDEN = [
  ["topology/planted.ts", 'import { formCluster } from "../redis/form-cluster.ts";'],
  ["mesh/planted.ts", 'import type { Sandbox } from "../functions/sandbox-port.ts";'],
  ["redis/planted.ts", 'export { statusOf } from "../grpc/status.ts";'],
  ["base/planted.ts", 'import type { Topology } from "../topology/topology.ts";'],
  ["functions/planted.ts", 'import { Redis } from "ioredis";'],
  ["functions/planted.ts", 'import { clusterOf } from "../topology/topology.ts";'],
  ["functions/planted.ts", 'import { readFile } from "node:fs/promises";'],
  ["telemetry/planted.ts", 'import * as grpc from "@grpc/grpc-js";'],
  ["grpc/planted.ts", 'import type { Registry } from "prom-client";'],
  ["app/planted.ts", 'import "../cli/main.ts";'],
  ["dev/planted.ts", 'import {\n  start,\n} from "../app/coordinator.ts";'],
  ["client/planted.ts", 'const redis = await import("ioredis");'],
  ["client/planted.ts", 'type Redis = import("ioredis").Redis;'],
  ["client/planted.ts", "const some = await import(name);"],
  ["cli/planted.ts", 'const ivm = require("isolated-vm");'],
  ["cli/planted.ts", 'import manifest from "../../package.json" with { type: "json" };'],
  ["attic/planted.ts", 'import "../base/fault.ts";'],
] as const;

for (const [file, code] of FORBIDDEN) {
  test(`the layer check refuses in src/${file}: ${code.replaceAll("\n", " ")}`, (t) => {
    const { exitCode, report } = checkWith(file, code);
    t.is(exitCode, 1);
    t.regex(report, new RegExp(`^src/${file}:3: `, "m"));
  });
}

const ALLOWED = [
  ["functions/planted.ts", 'import type { Topology } from "../topology/topology.ts";'],
  ["mesh/planted.ts", '// await import("ioredis") is not code\nimport { createHmac } from "node:crypto";'],
  ["grpc/planted.ts", 'import { loadSync } from "@grpc/proto-loader";\nimport { Fault } from "../base/fault.ts";'],
  ["cli/planted.ts", 'import { runDev } from "../dev/run-dev.ts";\nimport { Command } from "commander";'],
] as const;

for (const [file, code] of ALLOWED) {
  test(`the layer check lets pass in src/${file}: ${code.replaceAll("\n", " ")}`, (t) => {
    t.notRegex(checkWith(file, code).report, new RegExp(`^src/${file}:`, "m"));
  });
}
