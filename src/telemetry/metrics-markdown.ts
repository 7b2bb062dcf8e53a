import { listMetrics } from "./metric-list.ts";

const INTRODUCTION = `# Metrics

Each coordinator serves its metrics in Prometheus' text format at \`/metrics\` on \`opsListen\`, without a token. Times are in seconds,
sizes in bytes. No label holds a key, a client's address or a text that a caller chose.

This file is generated from the metrics themselves: \`node scripts/generate-docs.ts\`.

| metric | type | labels | what it says |
| --- | --- | --- | --- |
`;

/** docs/METRICS.md: gearmesh's own first, then those that every gRPC server and every Node process shows. */
export async function metricsMarkdown(): Promise<string> {
  const rows = (await listMetrics()).map(({ name, type, labels, help }) => {
    const listed = labels.map((label) => `\`${label}\``).join(", ");
    return `| \`${name}\` | ${type} | ${listed} | ${help.replaceAll("|", "\\|")} |\n`;
  });
  return INTRODUCTION + rows.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)).join("");
}

function rank(row: string): number {
  return ["| `gearmesh_", "| `grpc_"].findIndex((prefix) => row.startsWith(prefix)) + 1 || 3;
}
