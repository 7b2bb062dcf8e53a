import type { CoordinatorProcess } from "../../src/dev/coordinator-process.ts";

/** One value of a coordinator's metrics, as Prometheus would scrape it: `metricOf(coordinator, 'gearmesh_connections{state="away"}')`. `token`: where the metrics need one. */
export async function metricOf(
  { opsAddress }: Pick<CoordinatorProcess, "opsAddress">,
  series: string,
  token?: string,
): Promise<number> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const text = await (await fetch(`http://${opsAddress}/metrics`, { headers })).text();
  const line = text.split("\n").find((each) => each.startsWith(`${series} `));
  if (line === undefined) throw new Error(`no series ${series}`);
  return Number(line.slice(series.length + 1));
}
