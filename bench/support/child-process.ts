import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A process of the bench that has said what the others need to know of it. */
export interface BenchProcess<Ready> extends AsyncDisposable {
  readonly pid: number;
  /** What it sent once it was up. */
  readonly ready: Ready;
}

/** Starts `file` of the bench folder with this Node, and waits for its first message. It is killed when disposed. */
export async function startProcess<Ready>(
  file: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<BenchProcess<Ready>> {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const child = fork(path, { env: { ...process.env, ...environment } });
  const [ready] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => Promise.reject(new Error(`${file} ended with ${code} before it was up`))),
  ]);
  return { pid: child.pid ?? 0, ready, [Symbol.asyncDispose]: () => stop(child) };
}

/** Says from within such a process that it is up. It ends with its parent. */
export function announce(ready: Record<string, unknown>): void {
  process.send?.(ready);
  process.once("disconnect", () => process.exit());
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
