import { readFile } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { type Cluster, type ClusterNode, startCluster } from "../../src/dev/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { Victim, type VictimCall } from "../support/victim.ts";
import type { Ending, HostileCase } from "./hostile-cases/hostile-case.ts";
import { HOSTILE_CASES } from "./hostile-cases.ts";

/** Short limits, so that what runs into them does so soon; what is to end well needs a tenth of them. */
const LIMITS = {
  GEARMESH_RUN_TIMEOUT_MS: "300",
  GEARMESH_LOAD_TIMEOUT_MS: "1000",
  GEARMESH_LOCK_REDIS_TIMEOUT: "300",
  GEARMESH_LIBRARY_MAXMEMORY: "32",
  GEARMESH_MAX_RESULT_BYTES: String(1 << 20),
  // A replaced version stays loaded for as long.
  GEARMESH_MAX_CALL_TIMEOUT_MS: "20000",
};

/** A hostile call's own deadline, and how late it may end on a machine that is busy. */
const CALL = { timeoutMs: 2500, latenessMs: 5000 };

/** What holds for everything around a hostile library. */
const BOUNDS = { victimMs: 10_000, victimMedianMs: 1000, coordinatorMb: 512 };

/** Of an error's text. Unit: characters. */
const SHOWN_TEXT = 100;

/** What a call may get whose sandbox process ends under it, or is not back yet. */
const WHILE_RESTARTING = ["INDETERMINATE", "UNAVAILABLE"];

const ROUNDS = Number(process.env["GEARMESH_HOSTILE_ROUNDS"] ?? 1);

let cluster: Cluster;
let node: ClusterNode;
let client: GearmeshClient;
let victimClient: GearmeshClient;
let victim: Victim;
let coordinatorPid: number | undefined;

test.before(async () => {
  cluster = await startCluster({ shards: 1, env: LIMITS });
  const [first] = cluster.nodes;
  if (!first) throw new Error("the cluster has no node");
  node = first;
  coordinatorPid = node.coordinator.pid;
  client = connect({ address: node.coordinator.address, token: cluster.token });
  victimClient = connect({ address: node.coordinator.address, token: cluster.token });
  victim = await Victim.start(victimClient);
});

test.after.always(async () => {
  await victim?.[Symbol.asyncDispose]();
  await client?.[Symbol.asyncDispose]();
  await victimClient?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

for (let round = 1; round <= ROUNDS; round++) {
  const suffix = ROUNDS > 1 ? ` (round ${round} of ${ROUNDS})` : "";
  for (const hostile of HOSTILE_CASES) test.serial(hostile.name + suffix, (t) => loses(t, hostile));
}

async function loses(t: ExecutionContext, hostile: HostileCase): Promise<void> {
  const startedMs = performance.now();
  const deathsBefore = await sandboxDeaths();
  const outcomes = await outcomesOf(t, hostile);
  const tookMs = performance.now() - startedMs;

  const endedMs = performance.now();
  await eventually(() => victim.since(endedMs).some(({ ending }) => ending === "OK"), {
    what: "right answer of the victim afterwards",
  });
  // Counted once the process that died has a successor, which the victim's answer is from.
  const deaths = (await sandboxDeaths()) - deathsBefore;
  for (const { ending, text = "" } of outcomes) {
    const isAllowed = hostile.gets.includes(ending) || (deaths > 0 && ending === "INDETERMINATE");
    t.true(isAllowed, `its caller got ${ending} ${text.slice(0, SHOWN_TEXT)}`);
  }
  const calls = victim.since(startedMs);
  const failures = calls.filter(({ ending }) => ending !== "OK");
  for (const { ending } of failures) t.true(WHILE_RESTARTING.includes(ending), `the victim got ${ending}`);
  if (deaths === 0 && !hostile.costsConnection) t.is(countsOf(failures), "none", "though the sandbox process lived");
  assertAlive(t);
  const worstMs = Math.max(...calls.map((call) => call.tookMs));
  const seen = new Set(outcomes.map(({ ending, text = "" }) => `${ending} ${text.slice(0, SHOWN_TEXT)}`));
  t.log([...seen].slice(0, 4).join("; "));
  t.log(
    `ended in ${tookMs.toFixed()} ms; deaths ${deaths}; ` +
      `victim: ${calls.length} calls, ${failures.length} failed, worst ${worstMs.toFixed()} ms; ${await coordinatorMemory()}`,
  );
}

async function outcomesOf(t: ExecutionContext, hostile: HostileCase): Promise<readonly Outcome[]> {
  const { text, config = {}, called, isMethod = false, value } = hostile;
  const loaded = await endingOf(t, client.load(`#!js name=hostile\n${text}`, { config, replace: true }));
  if (called === "load" || loaded.ending !== "OK") return [loaded];
  const call = () => (isMethod ? methodCall() : client.call("hostile.f", { timeoutMs: CALL.timeoutMs }));
  const outcomes = await Promise.all(Array.from({ length: called }, () => endingOf(t, call())));
  for (const { ending, answer, tookMs } of outcomes) {
    if (ending === "OK" && value !== undefined) t.deepEqual(answer, value);
    t.true(tookMs < CALL.timeoutMs + CALL.latenessMs, `a call took ${tookMs.toFixed()} ms`);
  }
  return outcomes;
}

async function methodCall(): Promise<unknown> {
  const [reply] = await client.rpc("f", { target: { key: "k" }, timeoutMs: CALL.timeoutMs });
  return reply && "value" in reply ? reply.value : undefined;
}

interface Outcome {
  readonly ending: Ending;
  readonly answer?: unknown;
  /** Of the error. */
  readonly text?: string;
  readonly tookMs: number;
}

async function endingOf(t: ExecutionContext, call: Promise<unknown>): Promise<Outcome> {
  const startedMs = performance.now();
  try {
    const answer = await call;
    return { ending: "OK", answer, tookMs: performance.now() - startedMs };
  } catch (thrown) {
    const { code, message } = Fault.from(thrown);
    t.true(message.length < 20_000, "the text of an error is bounded");
    t.notRegex(message, /file:|node_modules/, "no error shows a path of the host");
    return { ending: code, text: message, tookMs: performance.now() - startedMs };
  }
}

test.serial("through all of it the coordinator stayed, in its memory, and the victim was served in time", async (t) => {
  await victim.caughtUp();
  const tookMs = victim.calls.map((call) => call.tookMs).sort((a, b) => a - b);
  const at = (share: number) => tookMs[Math.floor(share * (tookMs.length - 1))] ?? 0;
  const failures = victim.calls.filter(({ ending }) => ending !== "OK");
  t.log(`${HOSTILE_CASES.length} cases, ${ROUNDS} rounds; ${await sandboxDeaths()} deaths of the sandbox process`);
  t.log(`victim: ${tookMs.length} calls, ${failures.length} failed while it was replaced: ${countsOf(failures)}`);
  t.log(
    `victim: p50 ${at(0.5).toFixed(1)}, p90 ${at(0.9).toFixed(1)}, p99 ${at(0.99).toFixed()}, max ${at(1).toFixed()} ms`,
  );
  t.log(`coordinator: ${await coordinatorMemory()}`);
  t.true(HOSTILE_CASES.length >= 60);
  t.is(new Set(HOSTILE_CASES.map(({ name }) => name)).size, HOSTILE_CASES.length, "every case has a name of its own");
  t.true(at(1) < BOUNDS.victimMs);
  t.true(at(0.5) < BOUNDS.victimMedianMs);
  t.true((await statusKb("VmHWM")) < BOUNDS.coordinatorMb * 1024);
  assertAlive(t);
});

function assertAlive(t: ExecutionContext): void {
  t.is(node.coordinator.pid, coordinatorPid);
  t.not(coordinatorPid, undefined);
}

function countsOf(calls: readonly VictimCall[]): string {
  const counts = Map.groupBy(calls, ({ ending }) => ending);
  return [...counts].map(([ending, { length }]) => `${ending} ${length}`).join(", ") || "none";
}

async function sandboxDeaths(): Promise<number> {
  const metrics = await (await fetch(`http://${node.coordinator.opsAddress}/metrics`)).text();
  return Number(/^gearmesh_sandbox_restarts_total(?:\{.*\})? (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN);
}

async function coordinatorMemory(): Promise<string> {
  const mb = async (field: "VmRSS" | "VmHWM") => ((await statusKb(field)) / 1024).toFixed();
  return `memory ${await mb("VmRSS")} MB, at most ${await mb("VmHWM")} MB`;
}

/** Of the coordinator's resident memory: what it is, or the most that it ever was. */
async function statusKb(field: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${coordinatorPid}/status`, "utf8");
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN);
}
