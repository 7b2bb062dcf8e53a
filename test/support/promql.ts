import { listMetrics } from "../../src/telemetry/metric-list.ts";

/** What Prometheus itself makes, and knows of what it scrapes. */
export const FOREIGN_METRICS = ["up"] as const;
/** Labels that Prometheus puts on every series. */
const TARGET_LABELS = ["job", "instance"];

/** Suffixes of what a histogram consists of. */
const PARTS = /_(bucket|sum|count)$/;

const LISTED = new Map((await listMetrics()).map((metric) => [metric.name, metric]));

const METRIC = /\b(?:gearmesh|grpc_server|nodejs|process)_[a-z0-9_]+\b/g;

/** The names of the coordinators' metrics that an expression of PromQL asks for, as they are documented. */
export function metricsIn(expression: string): readonly string[] {
  const named = withoutStrings(expression).match(METRIC) ?? [];
  return named.map((name) => (LISTED.has(name) ? name : histogramOf(name)));
}

function histogramOf(name: string): string {
  const histogram = name.replace(PARTS, "");
  return LISTED.get(histogram)?.type === "histogram" ? histogram : name;
}

/** The metrics and labels that an expression asks for and that there are not. */
export function unknownIn(expression: string, foreign: readonly string[] = []): readonly string[] {
  const used = metricsIn(expression);
  const unknown = used.filter((name) => !LISTED.has(name));
  const selectors = [...expression.matchAll(/([a-z_0-9]+)\{((?:[^}"]|"[^"]*")*)\}/g)];
  for (const [, name = "", matchers = ""] of selectors) {
    if (foreign.includes(name)) continue;
    const [metric = name] = metricsIn(name);
    const labels = [...TARGET_LABELS, ...(LISTED.get(metric)?.labels ?? [])];
    const asked = [...matchers.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label);
    unknown.push(...asked.filter((label) => !labels.includes(label)).map((label) => `${metric}{${label}}`));
  }
  const all = [...TARGET_LABELS, "le", ...used.flatMap((name) => LISTED.get(name)?.labels ?? [])];
  for (const [, list = ""] of expression.matchAll(/\b(?:by|on|without|ignoring|group_left)\s*\(([^)]*)\)/g)) {
    const grouped = list.split(",").map((label) => label.trim());
    unknown.push(...grouped.filter((label) => !all.includes(label)).map((label) => `by (${label})`));
  }
  return unknown;
}

function withoutStrings(expression: string): string {
  return expression.replaceAll(/"[^"]*"/g, '""');
}
