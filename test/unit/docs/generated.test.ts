import { readFileSync } from "node:fs";
import test from "ava";
import { settingsMarkdown } from "../../../src/app/config/settings-markdown.ts";
import { metricsMarkdown } from "../../../src/telemetry/metrics-markdown.ts";

const REGENERATE = "run `node scripts/generate-docs.ts` and commit what it writes";

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8");
}

test("docs/SETTINGS.md is what the schema says", (t) => {
  t.is(page("SETTINGS"), settingsMarkdown(), REGENERATE);
});

test("docs/METRICS.md has every metric, and no other", async (t) => {
  t.is(page("METRICS"), await metricsMarkdown(), REGENERATE);
});
