import { readFileSync } from "node:fs";
import { parse, stringify } from "yaml";

const HEADER = "# Generated from monitoring/alerts.yaml: node scripts/generate-docs.ts\n";

/** k8s/overlays/prod/prometheus-rule.yaml: the alerts as the Prometheus operator takes them. */
export function prometheusRuleYaml(): string {
  const alerts: unknown = parse(readFileSync(new URL("alerts.yaml", import.meta.url), "utf8"));
  const manifest = {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "PrometheusRule",
    metadata: {
      name: "gearmesh",
      labels: { "app.kubernetes.io/name": "gearmesh", "app.kubernetes.io/part-of": "gearmesh" },
    },
    spec: alerts,
  };
  return HEADER + stringify(manifest, { lineWidth: 0 });
}
