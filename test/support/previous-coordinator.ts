import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ARCHIVE = fileURLToPath(new URL("../previous/coordinator.tar.gz", import.meta.url));
const PACKAGES = fileURLToPath(new URL("../../node_modules", import.meta.url));

const ENTRY = `process.argv.splice(2, 0, "serve");
await import("./src/cli/main.ts");
`;

export interface PreviousCoordinator extends AsyncDisposable {
  /** Runs it: see ClusterOptions. */
  readonly entry: string;
}

/**
 * A coordinator that speaks the version of the mesh protocol before ours, and that alone: the source of the last commit that did, unpacked. It is kept as an archive, since a checkout need not
 * have its history; CONTRIBUTING.md says when another one takes its place.
 */
export async function unpackPreviousCoordinator(): Promise<PreviousCoordinator> {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-previous-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  await promisify(execFile)("tar", ["-xzf", ARCHIVE, "-C", directory]);
  await symlink(PACKAGES, join(directory, "node_modules"));
  const entry = join(directory, "serve.ts");
  await writeFile(entry, ENTRY);
  const unpacked = stack.move();
  return { entry, [Symbol.asyncDispose]: () => unpacked.disposeAsync() };
}
