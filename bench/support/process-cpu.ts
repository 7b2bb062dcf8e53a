import { readFileSync } from "node:fs";

/** Of a clock tick, in which the kernel counts: 100 a second on every Linux that Node runs on. Unit: us. */
const TICK_US = 10_000;

/** CPU time that a process has used, in user and kernel mode, without its children. Unit: us. Linux only. */
export function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command's name in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}
