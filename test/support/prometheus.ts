import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { stringify } from "yaml";

export interface PrometheusOptions {
  /** Addresses of the ops ports that are scraped, once a second. */
  readonly targets: readonly string[];
  /** What the scrapes present. */
  readonly token: string;
}

/** One value of an instant query, by its labels. A histogram without observations has NaN for a quantile. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus of the machine's package, which scrapes and follows the rules of monitoring/alerts.yaml. */
export interface Prometheus extends AsyncDisposable {
  /** An instant query. Rejects with what Prometheus says is wrong with it. */
  query(expression: string): Promise<readonly Sample[]>;
  /** Of each target: `up`, `down` or `unknown`. */
  health(): Promise<readonly string[]>;
  /** Of the rules that it has loaded: `ok`, `err` or `unknown`. */
  rules(): Promise<readonly { readonly name: string; readonly health: string; readonly state: string }[]>;
}

export async function startPrometheus({ targets, token }: PrometheusOptions): Promise<Prometheus> {
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-prometheus-"));
  const configuration = {
    global: { scrape_interval: "1s", evaluation_interval: "1s" },
    rule_files: [resolve("monitoring/alerts.yaml")],
    scrape_configs: [
      {
        job_name: "gearmesh",
        authorization: { credentials: token },
        static_configs: [{ targets }],
      },
    ],
  };
  const file = join(directory, "prometheus.yml");
  await writeFile(file, stringify(configuration));
  const child = spawn(
    "prometheus",
    [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, "data")}`, "--web.listen-address=127.0.0.1:0"],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null && child.kill("SIGKILL")) await once(child, "exit");
    await rm(directory, { recursive: true, force: true });
  };
  let address: string;
  try {
    address = await addressOf(child);
  } catch (error) {
    await end();
    throw error;
  }
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://${address}/api/v1/${path}`);
    const { status, data, error } = (await response.json()) as { status: string; data: unknown; error?: string };
    if (status !== "success") throw new Error(`Prometheus: ${error}`);
    return data;
  };
  return {
    async query(expression) {
      const { result } = (await get(`query?query=${encodeURIComponent(expression)}`)) as {
        readonly result: readonly { readonly metric: Record<string, string>; readonly value: [number, string] }[];
      };
      return result.map(({ metric, value: [, value] }) => ({ labels: metric, value: Number(value) }));
    },
    async health() {
      const { activeTargets } = (await get("targets?state=active")) as { activeTargets: readonly { health: string }[] };
      return activeTargets.map(({ health }) => health);
    },
    async rules() {
      const { groups } = (await get("rules")) as {
        groups: readonly { rules: readonly { name: string; health: string; state: string }[] }[];
      };
      return groups.flatMap(({ rules }) => rules);
    },
    [Symbol.asyncDispose]: end,
  };
}

/** Where it says that it listens; it picks a free port itself. */
async function addressOf({ stderr }: ChildProcess): Promise<string> {
  if (!stderr) throw new Error("Prometheus has no log");
  const said: string[] = [];
  for await (const line of createInterface({ input: stderr })) {
    said.push(line);
    const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
    if (address === undefined) continue;
    stderr.resume();
    return address;
  }
  throw new Error(`Prometheus did not start:\n${said.join("\n")}`);
}
