/** Writes what follows from the code: pages of docs/, the dashboard, and the alerts as Kubernetes takes them. The tests say when one is behind. */
import { writeFileSync } from "node:fs";
import { dashboardJson } from "../monitoring/dashboard.ts";
import { prometheusRuleYaml } from "../monitoring/prometheus-rule.ts";
import { settingsMarkdown } from "../src/app/config/settings-markdown.ts";
import { metricsMarkdown } from "../src/telemetry/metrics-markdown.ts";

const pages = {
  "docs/SETTINGS.md": settingsMarkdown(),
  "docs/METRICS.md": await metricsMarkdown(),
  "monitoring/dashboard.json": dashboardJson(),
  "k8s/overlays/prod/prometheus-rule.yaml": prometheusRuleYaml(),
};
for (const [path, text] of Object.entries(pages)) writeFileSync(new URL(`../${path}`, import.meta.url), text);
