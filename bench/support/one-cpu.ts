import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { childrenOf } from "./process-memory.ts";

/**
 * Runs `measure` with every thread of this process and of all its descendants on one CPU, and lets them go after it. Linux only.
 *
 * A call that is alone goes through one process after the other, and no two of them are at work at once, so it needs one CPU. Over several, what it takes is up
 * to who wakes whom where: a virtual machine may take 200 us to wake a CPU that is idle, ten times a call, and then again none for minutes.
 */
export async function onOneCpu<T>(measure: () => Promise<T>): Promise<T> {
  const allowed = allowedCpus();
  const one = /\d+$/.exec(allowed)?.[0] ?? "0";
  confine(process.pid, one);
  try {
    return await measure();
  } finally {
    confine(process.pid, allowed);
  }
}

/** As a list like `0-3,8`. */
function allowedCpus(): string {
  return /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
}

function confine(pid: number, cpus: string): void {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", cpus, String(pid)], { stdio: "ignore" });
  for (const child of childrenOf(pid)) confine(child, cpus);
}
