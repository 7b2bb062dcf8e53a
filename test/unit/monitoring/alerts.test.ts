import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import test from "ava";
import { parse, stringify } from "yaml";
import { prometheusRuleYaml } from "../../../monitoring/prometheus-rule.ts";
import { FOREIGN_METRICS, unknownIn } from "../../support/promql.ts";
import { promtool } from "../../support/promtool.ts";
import { ALERT_CASES, type AlertCase, MINUTES } from "./alert-cases.ts";

const FILE = resolve("monitoring/alerts.yaml");

interface Rule {
  readonly alert: string;
  readonly expr: string;
  /** Minutes or hours. */
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

const { groups } = parse(readFileSync(FILE, "utf8")) as {
  readonly groups: readonly { readonly rules: readonly Rule[] }[];
};
const RULES = groups.flatMap(({ rules }) => rules);

/** What `promtool test rules` is to find of one alert. */
function promtoolTests(rule: Rule, found: AlertCase | undefined): readonly object[] {
  if (!found) return [];
  const { alert, labels, annotations } = rule;
  const { fires, silent, alsoFires = [], alsoSilent = [], labels: expected } = found;
  const fired = { exp_labels: { ...expected, ...labels }, exp_annotations: annotations };
  const test = (given: Readonly<Record<string, string>>, minute: number, alerts: readonly object[]) => ({
    interval: "1m",
    input_series: Object.entries(given).map(([series, values]) => ({ series, values })),
    alert_rule_test: [{ eval_time: `${minute}m`, alertname: alert, exp_alerts: alerts }],
  });
  const lastMinute = MINUTES - 5;
  const waited = minutesOf(rule);
  return [
    ...[fires, ...alsoFires].map((given) => test(given, lastMinute, [fired])),
    ...[silent, ...alsoSilent].map((given) => test(given, lastMinute, [])),
    // What is over before the time of the rule wakes nobody.
    ...(waited > 0 ? [test(fires, waited - 1, [])] : []),
  ];
}

/** How long it has to be so before the alert fires. */
function minutesOf({ for: text = "0m" }: Rule): number {
  return Number.parseInt(text, 10) * (text.endsWith("h") ? 60 : 1);
}

test("promtool finds nothing wrong with the alerts", (t) => {
  const { isFine, report } = promtool(["check", "rules", FILE]);
  t.true(isFine, report);
});

test("Kubernetes is given the same alerts", (t) => {
  const rendered = readFileSync("k8s/overlays/prod/prometheus-rule.yaml", "utf8");
  t.is(rendered, prometheusRuleYaml(), "run `node scripts/generate-docs.ts`");
});

test("every alert is tried, and nothing else", (t) => {
  t.deepEqual(RULES.map(({ alert }) => alert).sort(), Object.keys(ALERT_CASES).sort());
});

test("each alert fires when it should, and is silent when it should be", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gearmesh-alerts-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  // A file for each, since promtool evaluates all rules of a file for each of its tests.
  const files = RULES.map((rule) => {
    const [rules, file] = [join(directory, `${rule.alert}.yaml`), join(directory, `${rule.alert}.test.yaml`)];
    writeFileSync(rules, stringify({ groups: [{ name: rule.alert, rules: [rule] }] }));
    const tests = promtoolTests(rule, ALERT_CASES[rule.alert]);
    t.true(tests.length >= (rule.for === undefined ? 2 : 3), rule.alert);
    writeFileSync(file, stringify({ rule_files: [rules], evaluation_interval: "1m", tests }));
    return file;
  });
  const { isFine, report } = promtool(["test", "rules", ...files]);
  t.true(isFine, report);
});

test("alerts ask only for metrics and labels that there are", (t) => {
  for (const { alert, expr } of RULES) t.deepEqual(unknownIn(expr, FOREIGN_METRICS), [], alert);
});

test("docs/MONITORING.md says of each alert what to do, and of no other", (t) => {
  const page = readFileSync("docs/MONITORING.md", "utf8");
  const sections = [...page.matchAll(/^### (Gearmesh\S+)$/gm)].map(([, name = ""]) => name);
  t.deepEqual(
    sections,
    RULES.map(({ alert }) => alert),
    "in the order of monitoring/alerts.yaml",
  );
  for (const { alert, annotations } of RULES) {
    t.is(annotations.runbook, `docs/MONITORING.md#${alert.toLowerCase()}`);
    const section = page.split(`### ${alert}\n`)[1]?.split("\n#")[0] ?? "";
    t.true(section.trim().length > 80, `${alert}: what it means and what to do`);
  }
});
