import { readFileSync } from "node:fs";

/** Resident memory of a process and of all its descendants. Unit: MiB. Linux only. */
export function residentMiB(pid: number): number {
  const [, kib = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1024 + childrenOf(pid).reduce((sum, child) => sum + residentMiB(child), 0);
}

export function childrenOf(pid: number): readonly number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}
