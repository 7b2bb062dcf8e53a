import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const SCRIPT = fileURLToPath(new URL("./foreign-health.py", import.meta.url));

/** What a gRPC health client that is not ours is told, for example `SERVING`; the code of the error where there is no answer. */
export async function foreignHealth(address: string, service = ""): Promise<string> {
  // Debian's Python, which is the one its grpc packages are for.
  const { stdout } = await run("/usr/bin/python3", [SCRIPT, address, service], { timeout: 30_000 });
  return stdout.trim();
}
