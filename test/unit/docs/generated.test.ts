import { readFileSync } from "node:fs";
import test from "ava";
import { settingsMarkdown } from "../../../src/app/config/settings-markdown.ts";
import { createMetrics } from "../../../src/telemetry/metrics.ts";
import { metricsMarkdown } from "../../../src/telemetry/metrics-markdown.ts";

const REGENERATE = "run `node scripts/generate-docs.ts` and commit what it writes";

function page(name: string): string {
  return readFileSync(new URL(`../../../docs/${name}.md`, import.meta.url), "utf8");
}

test("docs/SETTINGS.md is what the schema says", (t) => {
  t.is(page("SETTINGS"), settingsMarkdown(), REGENERATE);
});

test("docs/METRICS.md has every metric, and no other", async (t) => {
  const { registry } = createMetrics("0.0.0", {
    links: () => ({ open: 0, connecting: 0 }),
    linkInFlight: () => 0,
    topologyVersion: () => 0,
    isActive: () => false,
    isOwner: () => true,
    libraries: () => 0,
    quarantinedLibraries: () => 0,
    connections: () => ({ attached: 0, away: 0 }),
    rpcPending: () => 0,
    registeredMethods: () => 0,
    rooms: () => ({ held: 0, members: 0, watches: 0 }),
    isRedisUp: () => false,
    pubSub: () => ({ subscriptions: 0, types: 0, peerTypes: 0 }),
  });
  t.is(page("METRICS"), await metricsMarkdown(registry), REGENERATE);
});
