/**
 * Writes the TypeScript types of the proto files to src/grpc/generated. They are not kept in the repository: what is
 * generated cannot go stale there.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const outDir = "src/grpc/generated";
const generator = fileURLToPath(import.meta.resolve("@grpc/proto-loader/build/bin/proto-loader-gen-types.js"));

const protoFiles = readdirSync(`${root}/proto/gearmesh/v1`)
  .filter((name) => name.endsWith(".proto"))
  .map((name) => `gearmesh/v1/${name}`)
  .sort();

// Types of messages that were renamed or deleted must not linger.
rmSync(`${root}/${outDir}`, { recursive: true, force: true });

// The options say how proto-loader is told to convert values at run time, and must stay what src/grpc tells it.
const generated = spawnSync(
  process.execPath,
  [
    generator,
    ...["--includeDirs", "proto", "--outDir", outDir, "--grpcLib", "@grpc/grpc-js"],
    ...["--longs", "Number", "--enums", "String", "--oneofs", "--defaults", "--includeComments"],
    ...["--importFileExtension", ".ts"],
    ...protoFiles,
  ],
  { cwd: root, stdio: ["ignore", "ignore", "inherit"] },
);
process.exitCode = generated.status ?? 1;
