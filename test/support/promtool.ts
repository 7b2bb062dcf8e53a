import { spawnSync } from "node:child_process";

/** What Prometheus' own tool says. `input`: on its standard input. */
export function promtool(args: readonly string[], input = ""): { readonly isFine: boolean; readonly report: string } {
  const { status, stdout, stderr } = spawnSync("promtool", args, { encoding: "utf8", input });
  return { isFine: status === 0, report: `${stdout}${stderr}` };
}
