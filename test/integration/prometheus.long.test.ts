import test from "ava";
import { ROWS } from "../../monitoring/dashboard-rows.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { listMetrics } from "../../src/telemetry/metric-list.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { type Prometheus, type Sample, startPrometheus } from "../support/prometheus.ts";
import { promtool } from "../support/promtool.ts";
import {
  OWN_QUEUE,
  useCacheKey,
  useConnection,
  useEverything,
  useFunctionKey,
  useStorageKey,
  WORKLOAD_LIBRARY,
} from "../support/workload.ts";

const JOB = "gearmesh";
/** How many keys, connections and rooms are used. */
const MANY = 10_000;
/** Has no series while there is nothing to count. */
const SOMETIMES = ["nodejs_active_requests"];
/** Panels that are empty without TLS, which the coordinators of this test do not speak. */
const ABOUT_TLS = ["Certificates end in"];
/** Of them at a time. */
const AT_A_TIME = 32;

/** What of gearmesh differs by what was used; codes and causes, which belong to closed lists, come when they come. */
function seriesOf(samples: readonly Sample[]): readonly string[] {
  const own = samples.map(({ labels }) => {
    const { code: _code, grpc_code: _status, cause: _cause, result: _result, le: _le, ...others } = labels;
    return JSON.stringify(Object.entries(others).sort());
  });
  return [...new Set(own)].sort();
}

/** What a panel of the dashboard asks Prometheus. */
function asked(expression: string): string {
  return expression.replaceAll("$job", JOB).replaceAll("$__rate_interval", "5m");
}

async function ownSeries(prometheus: Prometheus): Promise<readonly string[]> {
  return seriesOf(await prometheus.query(`{job="${JOB}", __name__=~"(gearmesh|grpc_server)_.*"}`));
}

/** Does something with that many names, some at a time, at one client after the other. */
async function withMany(
  clients: readonly GearmeshClient[],
  use: (client: GearmeshClient, name: string) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < MANY) {
      const number = next++;
      const client = clients[number % clients.length];
      if (client) await use(client, `${number}`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, lane));
}

test("Prometheus scrapes three coordinators: every metric is there, every panel has data, no rule fails, and series do not grow with what is used", async (t) => {
  t.timeout(400_000);
  await using cluster = await startTestCluster(t, { shards: 3 });
  const coordinators = cluster.nodes.map(({ coordinator }) => coordinator);
  const targets = coordinators.map(({ opsAddress }) => opsAddress);
  await using prometheus = await startPrometheus({ targets, token: cluster.token });
  await using clients = new AsyncDisposableStack();
  const all = coordinators.map(({ address }) => clients.use(connect({ address, token: cluster.token })));
  const [first] = all;
  if (!first) return t.fail();
  await eventually(async () => (await prometheus.health()).every((health) => health === "up"), {
    what: "three targets that are up",
  });

  await first.load(WORKLOAD_LIBRARY);
  await first.tasks.configureQueue(OWN_QUEUE);
  for (const [index, client] of all.entries()) {
    for (let round = 0; round < 3; round++) await useEverything(client, `${index}.${round}`);
  }

  const metrics = await listMetrics();
  t.true(metrics.length > 80);
  for (const { name, type } of metrics) {
    if (SOMETIMES.includes(name)) continue;
    const series = type === "histogram" ? `${name}_count` : name;
    await eventually(async () => (await prometheus.query(`${series}{job="${JOB}"}`)).length > 0, { what: series });
  }
  for (const { title, panels } of ROWS) {
    for (const panel of panels) {
      if (ABOUT_TLS.includes(panel.title)) continue;
      for (const { expr } of panel.queries) {
        const what = `data for ${title}, ${panel.title}: ${asked(expr)}`;
        await eventually(async () => (await prometheus.query(asked(expr))).length > 0, { what });
      }
    }
  }
  const delayed = `sum by (queue) (gearmesh_task_queue_tasks{state="delayed"})`;
  await eventually(
    async () =>
      (await prometheus.query(delayed)).some(({ labels, value }) => labels["queue"] === "_OTHER" && value === 9),
    { what: "the nine tasks of a queue that no setting names" },
  );
  await eventually(
    async () => {
      const rules = await prometheus.rules();
      return rules.length > 25 && rules.every(({ health }) => health === "ok");
    },
    { what: "rules that were all evaluated" },
  );
  t.deepEqual(
    await prometheus.query("sum(gearmesh_slots)").then((samples) => samples.map(({ value }) => value)),
    [16384],
  );

  const before = await ownSeries(prometheus);
  await withMany(all, async (client, name) => {
    await Promise.all([
      useFunctionKey(client, name),
      useCacheKey(client, name),
      useStorageKey(client, name),
      useConnection(client, name),
    ]);
  });
  const opened = `sum(gearmesh_connections_opened_total{kind="new"})`;
  await eventually(async () => (await prometheus.query(opened)).some(({ value }) => value >= MANY), {
    what: "all that was used in what Prometheus has",
  });
  t.deepEqual(await ownSeries(prometheus), before);
  t.true(before.length < 1500);
  for (const { opsAddress } of coordinators) {
    const { isFine, report } = promtool(
      ["check", "metrics"],
      await (await fetch(`http://${opsAddress}/metrics`)).text(),
    );
    t.true(isFine, report);
    t.is(report, "");
  }

  const [one] = coordinators;
  await one?.kill("SIGKILL");
  await eventually(async () => (await prometheus.query(`ALERTS{alertname="GearmeshDown"}`)).length === 1, {
    what: "the alert that a coordinator is down, pending",
  });
});
