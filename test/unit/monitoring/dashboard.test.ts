import { readFileSync } from "node:fs";
import test from "ava";
import { dashboardJson } from "../../../monitoring/dashboard.ts";
import { ROWS } from "../../../monitoring/dashboard-rows.ts";
import { listMetrics } from "../../../src/telemetry/metric-list.ts";
import { FOREIGN_METRICS, metricsIn, unknownIn } from "../../support/promql.ts";

const PANELS = ROWS.flatMap(({ panels }) => panels);
const QUERIES = PANELS.flatMap(({ queries }) => queries);

test("monitoring/dashboard.json is what its rows say", (t) => {
  t.is(readFileSync("monitoring/dashboard.json", "utf8"), dashboardJson(), "run `node scripts/generate-docs.ts`");
});

test("the dashboard asks only for metrics and labels that there are", (t) => {
  for (const { expr } of QUERIES) t.deepEqual(unknownIn(expr, FOREIGN_METRICS), [], expr);
});

test("the dashboard shows every metric of gearmesh", async (t) => {
  const shown = new Set(QUERIES.flatMap(({ expr }) => metricsIn(expr)));
  const missing = (await listMetrics()).filter(({ name }) => /^(gearmesh|grpc_server)_/.test(name) && !shown.has(name));
  t.deepEqual(
    missing.map(({ name }) => name),
    [],
  );
});

test("legends name labels that their queries leave", (t) => {
  for (const { expr, legend } of QUERIES) {
    const left = /^(?:sum|count) by \(([^)]*)\)|group_left \((node)\)|, sum by \(([^)]*)\)/.exec(expr);
    const labels = [...(left ?? [])]
      .slice(1)
      .filter((list) => list !== undefined)
      .flatMap((list) => list.split(", "));
    const named = [...legend.matchAll(/{{(\w+)}}/g)].map(([, label = ""]) => label);
    for (const label of named) t.true([...labels, "instance"].includes(label), `${legend}: ${expr}`);
  }
});
