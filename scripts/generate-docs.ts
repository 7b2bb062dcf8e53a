/** Writes the pages of docs/ that follow from the code. The tests say when one is behind. */
import { writeFileSync } from "node:fs";
import { settingsMarkdown } from "../src/app/config/settings-markdown.ts";
import { createMetrics } from "../src/telemetry/metrics.ts";
import { metricsMarkdown } from "../src/telemetry/metrics-markdown.ts";

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
const pages = { SETTINGS: settingsMarkdown(), METRICS: await metricsMarkdown(registry) };
for (const [name, text] of Object.entries(pages)) writeFileSync(new URL(`../docs/${name}.md`, import.meta.url), text);
