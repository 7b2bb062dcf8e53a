import { once } from "node:events";
import { connect as connectTo } from "node:net";
import { createInterface } from "node:readline";
import test from "ava";
import { payloadOf } from "../../src/base/json-payload.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { clientCredentials } from "../../src/client/client-tls.ts";
import { passedThrough, RpcChannel } from "../../src/client/rpc-channel.ts";
import type { WorkedTask } from "../../src/client/task-worker.ts";
import type { Cluster } from "../../src/dev/cluster.ts";
import { loadDefinitions } from "../../src/grpc/definitions.ts";
import {
  type WorkRequest,
  type WorkResponse,
  workEvent,
  workRequest,
  workResponse,
} from "../../src/tasks/work-codec.ts";
import { startPatientCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { metricOf } from "../support/metrics-of.ts";

/* Who works tasks, and what is promised of it. */

let cluster: Cluster;
let clients: readonly GearmeshClient[] = [];

const LIBRARY = `#!js name=jobs
redis.register_task("echo", async (client, args, task) => ({ args, fence: task.fence }));
redis.register_task("tight", async (client) => { for (;;) await client.run_on_key("x", "nothing"); }, { timeout: 300, queue: "tight" });
redis.register_task("changed", async (client, args) => args, { queue: "changed" });
redis.register_task("refused", async () => 1, { queue: "changed" });
redis.register_remote_function("nothing", async () => 1);
redis.register_remote_function("gate", async (client, key) => Number(client.block((c) => c.call("get", key)) ?? 0));
redis.register_function("open", (client, key) => Number(client.call("incr", key)));
redis.register_task("steps", async (client, { gate, fails }) => {
  for (let step = 1; step <= 3; step++) {
    client.progress({ step });
    while ((await client.run_on_key(gate, "gate", gate)) < step) client.progress({ step });
  }
  client.progress(["last"]);
  if (fails) throw "no luck";
  return "all";
}, { queue: "steps" });
redis.register_task("flood", async (client) => {
  for (let turn = 0; turn < 10; turn++) {
    client.block((c) => { for (let i = 1; i <= 10000; i++) c.progress(turn * 10000 + i); });
    await client.run_on_key("x", "nothing");
  }
}, { queue: "steps" });
redis.register_task("untold", async (client) => client.progress(), { queue: "steps" });
redis.register_async_function("outside", async (client) => client.progress(1));
`;

const MIDDLEWARE = `#!js name=around
redis.register_task_middleware("before_enqueue", async (client, args, { name }) => {
  if (name === "refused") throw "not today";
  return { args: [...args, "before_enqueue"] };
}, { tasks: ["changed", "refused"] });
redis.register_task_middleware("after_enqueue", async (client, args, { name }) => {
  client.block((c) => c.call("set", "enqueued:{x}", name));
}, { tasks: ["changed"] });
redis.register_task_middleware("before_work", async (client, args) => {
  if (args[0] === "refuse") throw "not today";
  return { args: [...args, "before_work"] };
}, { tasks: ["changed", "outside"] });
redis.register_task_middleware("after_work", async (client, result) => ({ result: [...result, "after_work"] }), { tasks: ["changed", "outside"] });
`;

test.before(async () => {
  cluster = await startPatientCluster({
    shards: 3,
    env: { GEARMESH_TASK_LEASE_MS: "5000", GEARMESH_MAX_TASK_BYTES: "2048", GEARMESH_TASK_MAX_RERUNS: "2" },
  });
  clients = cluster.nodes.map(({ coordinator }) => connect({ address: coordinator.address, token: cluster.token }));
  await client(0).load(LIBRARY);
});

test.after.always(async () => {
  for (const each of clients) each.close();
  await cluster?.[Symbol.asyncDispose]();
});

function sum(counts: readonly (number | undefined)[] = []): number {
  return counts.reduce<number>((total, count = 0) => total + count, 0);
}

/** Hears each progress that is written, as Redis' MONITOR has it: in quotes, with a backslash before each quote within. */
async function progressWritten() {
  const written: string[] = [];
  const sockets = cluster.nodes.map(({ redis }) => connectTo(redis.port, "127.0.0.1"));
  for (const socket of sockets) {
    createInterface({ input: socket }).on("line", (line) => {
      const [, value] = /"HSET" "\S+" "progress" "(.*)"$/i.exec(line) ?? [];
      if (value !== undefined) written.push(value);
    });
    socket.write("MONITOR\r\n");
    // It has answered, and hears what comes from now on.
    await once(socket, "data");
  }
  const close = () => {
    for (const socket of sockets) socket.destroy();
  };
  return { written, [Symbol.dispose]: close };
}

function client(index: number): GearmeshClient {
  const found = clients[index % 3];
  if (!found) throw new Error(`there is no coordinator ${index}`);
  return found;
}

/** A worker that says what it is told to, and hears everything. */
class RawWorker implements Disposable {
  readonly heard: WorkResponse[] = [];
  readonly #channel: RpcChannel;
  readonly #stream;
  error: string | undefined;

  constructor(index: number) {
    const address = cluster.nodes[index % 3]?.coordinator.address ?? "";
    this.#channel = new RpcChannel({
      address,
      token: () => cluster.token,
      credentials: clientCredentials(undefined),
      maxMessageBytes: 1 << 24,
    });
    this.#stream = this.#channel.bidiStream(passedThrough(loadDefinitions().tasks.Work.path));
    this.#stream.on("data", (bytes: Buffer) => this.heard.push(workResponse.decode(bytes)));
    this.#stream.on("error", (error) => {
      this.error = error.message;
    });
  }

  say(event: Partial<WorkRequest>): void {
    this.#stream.write(workEvent(workRequest, event));
  }

  /** Resolves once it was welcomed, or sent away. */
  async hello(name: string, queue: string, credit: number, timeoutMs = 0): Promise<void> {
    const task = { name, queue, timeoutMs, attempts: 1, backoffMs: 0, frequencyMs: 0, cron: "", timeZone: "" };
    this.say({ hello: { worker: "raw", tasks: [{ ...task, external: true }], credit } });
    await eventually(() => this.error ?? this.heard.some(({ welcome }) => welcome), { what: "a welcome" });
  }

  async task(what = "a task"): Promise<NonNullable<WorkResponse["task"]>> {
    const found = await eventually(() => this.heard.find(({ task }) => task), { what });
    return found?.task as NonNullable<WorkResponse["task"]>;
  }

  [Symbol.dispose](): void {
    this.#stream.cancel();
    this.#channel.close();
  }
}

test.serial("a worker takes tasks up to its credit", async (t) => {
  using worker = new RawWorker(0);
  await worker.hello("credited", "credited", 2);
  for (let i = 0; i < 5; i++) await client(1).tasks.enqueue("credited", i);
  const tasks = () => worker.heard.flatMap(({ task }) => (task ? [task] : []));
  await eventually(() => tasks().length === 2, { what: "two tasks" });
  t.is((await client(2).tasks.details()).queues["credited"]?.length, 3);
  for (const { id, fence } of tasks()) worker.say({ complete: { id, fence, payload: payloadOf("done") } });
  await eventually(() => worker.heard.filter(({ settled }) => settled?.code === "").length === 2, {
    what: "settlements",
  });
  t.is(tasks().length, 2);
  worker.say({ credit: 3 });
  await eventually(() => tasks().length === 5, { what: "the others" });
  for (const { id, fence } of tasks().slice(2)) worker.say({ complete: { id, fence, payload: undefined } });
  t.is(await client(1).tasks.result(tasks()[4]?.id ?? ""), null);
});

test.serial("a worker that acknowledges what it does not hold is told so, and nothing else comes of it", async (t) => {
  using worker = new RawWorker(0);
  using other = new RawWorker(1);
  await worker.hello("held", "held", 1);
  await other.hello("unheld", "unheld", 1);
  const { id } = await client(2).tasks.enqueue("held", 1);
  const { fence } = await worker.task();
  const refusals = () => other.heard.flatMap(({ settled }) => (settled?.code === "TASK_NOT_HELD" ? [settled.id] : []));
  other.say({ complete: { id, fence, payload: payloadOf("stolen") } });
  other.say({ fail: { id, fence, error: "stolen", final: true } });
  other.say({ progress: { id, fence, payload: payloadOf(1) } });
  other.say({ release: { id, fence } });
  other.say({ complete: { id: "nonsense", fence: 9, payload: undefined } });
  await eventually(() => refusals().length === 5, { what: "five refusals" });
  worker.say({ complete: { id, fence: fence + 1, payload: payloadOf("wrong fence") } });
  await eventually(() => worker.heard.some(({ settled }) => settled?.code === "TASK_NOT_HELD"), { what: "a refusal" });
  t.is((await client(0).tasks.describe(id)).state, "active");
  worker.say({ complete: { id, fence, payload: payloadOf("own") } });
  t.is(await client(0).tasks.result(id), "own");
});

test.serial("a worker that says nothing first, or nothing sensible, is sent away", async (t) => {
  using silent = new RawWorker(0);
  silent.say({ credit: 1 });
  await eventually(() => silent.error, { what: "an error" });
  t.regex(silent.error ?? "", /a worker says hello first/);
  using nameless = new RawWorker(0);
  await nameless.hello("", "x", 1);
  t.truthy(nameless.error);
  using thief = new RawWorker(0);
  await thief.hello("echo", "x", 1);
  t.regex(thief.error ?? "", /task echo is a library's/);
});

test.serial("what a worker held that dies is worked at once by another, under a higher fencing number", async (t) => {
  const before = await metricOf(nodeOf(0), 'gearmesh_task_reruns_total{cause="worker-died"}');
  const worker = new RawWorker(0);
  await worker.hello("inherited", "inherited", 1);
  const { id } = await client(1).tasks.enqueue("inherited", 1);
  t.is((await worker.task()).fence, 1);
  using heir = new RawWorker(2);
  await heir.hello("inherited", "inherited", 1);
  worker[Symbol.dispose]();
  const { fence } = await heir.task();
  t.is(fence, 2);
  heir.say({ complete: { id, fence, payload: payloadOf("inherited") } });
  t.is(await client(0).tasks.result(id), "inherited");
  t.is(await metricOf(nodeOf(0), 'gearmesh_task_reruns_total{cause="worker-died"}'), before + 1);
});

test.serial("a task that nobody can work yet waits for as long as that is so, and has not begun", async (t) => {
  // Library functions work others of its queue, so that it is taken again and again.
  const register = new RawWorker(0);
  await register.hello("absent", "changed", 1);
  register[Symbol.dispose]();
  const looks = async () => {
    const counts = cluster.nodes.map(({ coordinator }) => metricOf(coordinator, "gearmesh_task_wait_seconds_count"));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count);
  };
  const before = await looks();
  const { id } = await client(1).tasks.enqueue("absent", 1);
  await eventually(async () => (await looks()) >= before + 4, { what: "the task to be taken four times" });
  await using worker = client(2).tasks.work({ absent: { handle: (_args, { fence }) => fence, queue: "changed" } });
  await worker.ready;
  t.is(await client(0).tasks.result(id), 1);
});

test.serial("a worker that falls silent is taken for dead", async (t) => {
  using worker = new RawWorker(0);
  await worker.hello("silent", "silent", 1);
  const { id } = await client(1).tasks.enqueue("silent", 1);
  await worker.task();
  await eventually(() => worker.error, { what: "an end", deadlineMs: 60_000 });
  t.regex(worker.error ?? "", /nothing was heard of the worker/);
  await eventually(async () => (await client(0).tasks.describe(id)).state === "waiting", { what: "the task, back" });
});

test.serial("a coordinator that is killed loses nothing: what it held is worked again after its lease", async (t) => {
  const node = cluster.nodes[2];
  if (!node) return t.fail();
  using worker = new RawWorker(2);
  await worker.hello("orphaned", "orphaned", 1);
  const { id } = await client(0).tasks.enqueue("orphaned", 1);
  t.is((await worker.task()).fence, 1);
  await using heir = client(0).tasks.work({ orphaned: { handle: (_args, { fence }) => fence, queue: "orphaned" } });
  await heir.ready;
  await node.coordinator.kill("SIGKILL");
  const killedAtMs = performance.now();
  t.is(await client(0).tasks.result(id, { timeoutMs: 60_000 }), 2);
  t.log(`after ${Math.round(performance.now() - killedAtMs)} ms`);
  await node.coordinator.start();
});

test.serial("a worker that was cut off from its task is told so: it took longer than it may", async (t) => {
  using worker = new RawWorker(1);
  await worker.hello("late", "late", 1, 300);
  const { id } = await client(1).tasks.enqueue("late", 1);
  const { fence } = await worker.task();
  await t.throwsAsync(client(0).tasks.result(id), { code: "TASK_FAILED", message: "it took longer than 300 ms" });
  await eventually(() => worker.heard.some(({ cancel }) => cancel?.id === id), { what: "a cancel" });
  worker.say({ complete: { id, fence, payload: undefined } });
  await eventually(() => worker.heard.some(({ settled }) => settled?.code === "TASK_NOT_HELD"), { what: "a refusal" });
});

test.serial("a library's task that takes longer than it may fails", async (t) => {
  const { id } = await client(0).tasks.enqueue("tight");
  await t.throwsAsync(client(1).tasks.result(id), { code: "TASK_FAILED" });
});

test.serial("progress and result can be awaited, from any node", async (t) => {
  const go = Promise.withResolvers<void>();
  const handle = async (_args: unknown, { progress }: WorkedTask) => {
    progress({ done: 1 });
    await go.promise;
    progress({ done: 2 });
    return "all";
  };
  await using worker = client(0).tasks.work({ long: { handle, queue: "long" } });
  await worker.ready;
  const { id } = await client(1).tasks.enqueue("long");
  const events: unknown[] = [];
  for await (const event of client(2).tasks.watch(id)) {
    events.push(event.kind === "progress" ? event.progress : event.result);
    go.resolve();
  }
  t.deepEqual(events[0], { done: 1 });
  t.is(events.at(-1), "all");
  await t.throwsAsync(client(2).tasks.result("default.0:t-none"), { code: "UNKNOWN_TASK" });
  await t.throwsAsync(client(2).tasks.result("nonsense"), { code: "UNKNOWN_TASK" });
});

for (const fails of [false, true]) {
  test.serial(`progress of a library's task can be awaited, where it ${fails ? "fails" : "completes"}`, async (t) => {
    const gate = `gate:${fails}`;
    const { id } = await client(0).tasks.enqueue("steps", { gate, fails });
    const events: unknown[] = [];
    const watched = (async () => {
      for await (const event of client(2).tasks.watch(id)) {
        events.push(event.kind === "progress" ? event.progress : event.result);
        if (events.length <= 3) await client(1).call("jobs.open", { keys: [gate] });
      }
    })();
    if (fails) await t.throwsAsync(watched, { code: "TASK_FAILED", message: /no luck/ });
    else await watched;
    t.deepEqual(events, [{ step: 1 }, { step: 2 }, { step: 3 }, ["last"], ...(fails ? [] : ["all"])]);
    t.deepEqual((await client(1).tasks.describe(id)).progress, ["last"]);
  });
}

test.serial("of a flood of progress the newest counts, and few of it reach Redis", async (t) => {
  using heard = await progressWritten();
  const startedMs = performance.now();
  const { id } = await client(0).tasks.enqueue("flood");
  t.is(await client(1).tasks.result(id), null);
  const tookMs = performance.now() - startedMs;
  t.is((await client(2).tasks.describe(id)).progress, 100_000);
  const last = JSON.stringify({ json: 100_000 }).replaceAll('"', '\\"');
  await eventually(() => heard.written.at(-1) === last, { what: "the newest progress in Redis" });
  t.log(`${heard.written.length} of 100,000 in ${Math.round(tookMs)} ms`);
  // One per 100 ms, the first, and the last.
  t.true(heard.written.length <= tookMs / 100 + 2);
});

test.serial("progress that is none, or is told outside of a task, is refused with what to do", async (t) => {
  const { id } = await client(0).tasks.enqueue("untold");
  await t.throwsAsync(client(1).tasks.result(id), {
    code: "TASK_FAILED",
    message: "JSON cannot say a progress of the type 'undefined': give one that it can, such as a number or null",
  });
  t.is((await client(1).tasks.describe(id)).progress, undefined);
  await t.throwsAsync(client(0).call("jobs.outside"), { code: "FUNCTION_FAILED", message: /this one works no task/ });
});

test.serial("per-task priority", async (t) => {
  const worked: unknown[] = [];
  await using worker = client(0).tasks.work(
    { ranked: { handle: (args) => void worked.push(args), queue: "ranked" } },
    { concurrency: 1 },
  );
  await worker.ready;
  await client(0).tasks.pauseQueue("ranked");
  const ids: string[] = [];
  for (const priority of [3, 1, 2, 0, 1]) {
    ids.push((await client(1).tasks.enqueue("ranked", priority, { priority })).id);
  }
  const listed = await client(2).tasks.list({ queue: "ranked" });
  t.deepEqual(
    listed.map(({ args }) => args),
    [0, 1, 1, 2, 3],
  );
  await client(0).tasks.resumeQueue("ranked");
  for (const id of ids) await client(0).tasks.result(id);
  t.deepEqual(worked, [0, 1, 1, 2, 3]);
});

test.serial("attempts with backoff, which doubles", async (t) => {
  const times: number[] = [];
  const handle = () => {
    times.push(Date.now());
    throw new Error("again");
  };
  await using worker = client(0).tasks.work({ again: { handle, queue: "again", attempts: 3, backoffMs: 300 } });
  await worker.ready;
  const { id } = await client(1).tasks.enqueue("again");
  await t.throwsAsync(client(1).tasks.result(id), { code: "TASK_FAILED", message: "again" });
  t.is(times.length, 3);
  t.true((times[1] ?? 0) - (times[0] ?? 0) >= 295);
  t.true((times[2] ?? 0) - (times[1] ?? 0) >= 595);
});

test.serial("rate limit per queue", async (t) => {
  const times: number[] = [];
  await client(0).tasks.configureQueue("limited", { rateLimit: 3, rateLimitMs: 1000 });
  await using worker = client(0).tasks.work({
    slowed: { handle: () => void times.push(Date.now()), queue: "limited" },
  });
  await worker.ready;
  // No period of the limit begins before: how late the first ones begin is a matter of the machine.
  const enqueuedAt = Date.now();
  const outcomes = await client(1).tasks.enqueueBulk(Array.from({ length: 7 }, () => ({ name: "slowed" })));
  t.is(outcomes.length, 7);
  await eventually(() => times.length === 7, { what: "all of them" });
  t.true((times[3] ?? 0) - enqueuedAt >= 950);
  t.true((times[6] ?? 0) - enqueuedAt >= 1900);
});

test.serial("pause and resume", async (t) => {
  await client(0).tasks.configureQueue("halted", { partitions: 3 });
  await client(0).tasks.pauseQueue("halted");
  const { id } = await client(1).tasks.enqueue("echo", 1, { queue: "halted" });
  t.true((await client(2).tasks.details()).queues["halted"]?.paused);
  await client(1)
    .tasks.enqueue("echo", 2)
    .then(({ id: other }) => client(1).tasks.result(other));
  t.is((await client(0).tasks.describe(id)).state, "waiting");
  await client(2).tasks.resumeQueue("halted");
  t.like(await client(0).tasks.result(id), { args: 1 });
  t.false((await client(2).tasks.details()).queues["halted"]?.paused);
});

test.serial("partitions are spread over the shards, and all of them are worked", async (t) => {
  await client(0).tasks.configureQueue("wide", { partitions: 6 });
  const outcomes = await client(1).tasks.enqueueBulk(
    Array.from({ length: 60 }, (_, i) => ({ name: "echo", args: i, queue: "wide" })),
  );
  const shards = new Map<string, number>();
  for (const outcome of outcomes) {
    if (outcome instanceof Error) return t.fail(outcome.message);
    t.like(await client(2).tasks.result(outcome.id), { fence: 1 });
    const partition = outcome.id.slice(0, outcome.id.indexOf(":"));
    const { shard } = await client(0).locateKey(`{${partition}}`);
    shards.set(shard.id, (shards.get(shard.id) ?? 0) + 1);
  }
  t.deepEqual([...shards.values()], [20, 20, 20]);
  const keyed = await Promise.all(
    Array.from({ length: 6 }, () => client(0).tasks.enqueue("echo", 1, { queue: "wide", partitionKey: "same" })),
  );
  t.is(new Set(keyed.map(({ id }) => id.slice(0, id.indexOf(":")))).size, 1);
  await client(0).tasks.configureQueue("wide", { partitions: 1 });
  t.is((await client(0).tasks.details()).queues["wide"]?.options?.partitions, 1);
});

test.serial("middleware: before and after enqueue, before and after work", async (t) => {
  await client(0).load(MIDDLEWARE);
  const { id } = await client(1).tasks.enqueue("changed", ["given"]);
  t.deepEqual(await client(2).tasks.result(id), ["given", "before_enqueue", "before_work", "after_work"]);
  await t.throwsAsync(client(1).tasks.enqueue("refused", []), { code: "REFUSED_BY_HOOK", message: /not today/ });
  t.is((await client(0).tasks.list({ queue: "changed", name: "refused" })).length, 0);
  const listed = await Promise.all([0, 1, 2].map((index) => client(index).list()));
  const [jobs, around] = ["jobs", "around"].map((library) => listed.flat().filter(({ name }) => name === library));
  t.true(jobs?.every(({ tasks }) => tasks.toSorted().join() === "changed,echo,flood,refused,steps,tight,untold"));
  t.is(sum(jobs?.map(({ tasks, taskCounters }) => taskCounters[tasks.indexOf("changed")]?.calls)), 1);
  t.is(sum(around?.map(({ taskStages, stageCounters }) => stageCounters[taskStages.indexOf("after_work")]?.calls)), 1);
});

test.serial(
  "middleware around work runs for external workers, too, and what it refuses takes none of their credit",
  async (t) => {
    await client(0).load(MIDDLEWARE, { replace: true });
    const handle = async (args: unknown) => [...(args as unknown[]), "worked"];
    await using worker = client(1).tasks.work({ outside: { handle, queue: "outside" } }, { concurrency: 1 });
    await worker.ready;
    for (let round = 0; round < 3; round++) {
      const refused = await client(2).tasks.enqueue("outside", ["refuse"]);
      await t.throwsAsync(client(0).tasks.result(refused.id), { code: "TASK_FAILED", message: /not today/ });
    }
    const { id } = await client(2).tasks.enqueue("outside", ["given"]);
    t.deepEqual(await client(0).tasks.result(id), ["given", "before_work", "worked", "after_work"]);
  },
);

test.serial("bad input is refused with a clear code, and nothing is enqueued", async (t) => {
  const { tasks } = client(0);
  await tasks.configureQueue("bad");
  await tasks.pauseQueue("bad");
  const refused = (outcome: Promise<unknown>, code: string, message: RegExp) =>
    t.throwsAsync(outcome, { code, message });
  const queue = "bad";
  await refused(tasks.enqueue("nobody's"), "UNKNOWN_TASK", /there is no task nobody's/);
  await refused(tasks.enqueue("echo", 1, { queue: "nowhere" }), "UNKNOWN_QUEUE", /there is no queue nowhere/);
  await refused(tasks.enqueue("echo", 1, { queue: "no good" }), "INVALID_ARGUMENT", /letters, digits/);
  await refused(tasks.enqueue("echo", "x".repeat(3000), { queue }), "INVALID_ARGUMENT", /maxTaskBytes \(2048\)/);
  for (const delay of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, -0.1, 1e300]) {
    await refused(tasks.enqueueIn(delay, "echo", 1, { queue }), "INVALID_ARGUMENT", /delay_ms is|at most/);
    await refused(tasks.enqueueAt(delay, "echo", 1, { queue }), "INVALID_ARGUMENT", /at_ms is|at most/);
  }
  await refused(tasks.enqueue("echo", 1, { queue, priority: 3_000_000 }), "INVALID_ARGUMENT", /priority/);
  await refused(tasks.enqueue("echo", 1, { queue, id: "a:b" }), "INVALID_ARGUMENT", /id of a task/);
  await refused(tasks.enqueueRecurrentTask("echo", { cron: "0 0 31 2 *" }), "INVALID_ARGUMENT", /it never fires/);
  await refused(tasks.enqueueRecurrentTask("echo", { cron: "0 0 31 2,4 *" }), "INVALID_ARGUMENT", /it never fires/);
  await refused(tasks.enqueueRecurrentTask("echo", { cron: "often" }), "INVALID_ARGUMENT", /five fields/);
  await refused(
    tasks.enqueueRecurrentTask("echo", { cron: "* * * * *", timeZone: "Mars/Phobos" }),
    "INVALID_ARGUMENT",
    /no time zone/,
  );
  for (const frequencyMs of [0.5, -1, Number.NaN]) {
    await refused(tasks.enqueueRecurrentTask("echo", { frequencyMs }), "INVALID_ARGUMENT", /frequencyMs|give one/);
  }
  await refused(tasks.list({ queue: "nowhere" }), "UNKNOWN_QUEUE", /nowhere/);
  await refused(tasks.configureQueue("bad", { partitions: 1000 }), "INVALID_ARGUMENT", /partitions/);
  await refused(
    client(0).load('#!js name=never\nredis.register_task("n", async () => 1, { cron: "0 0 30 2 *" });'),
    "LIBRARY_REFUSED",
    /it never fires/,
  );
  await refused(
    client(0).load('#!js name=wrong\nredis.register_task("n", async () => 1, { frequency: 1.5 });'),
    "LIBRARY_REFUSED",
    /'frequency' must be a whole number/,
  );
  await refused(
    client(0).load('#!js name=taken\nredis.register_task("echo", async () => 1);'),
    "LIBRARY_REFUSED",
    /task echo already exists: library jobs registered it/,
  );
  const { queues } = await tasks.details();
  t.like(queues["bad"], { length: 0, delayed: 0 });
  const { id } = await tasks.enqueueIn(0, "echo", 1);
  t.like(await tasks.result(id), { args: 1 });
});

function nodeOf(index: number) {
  const node = cluster.nodes[index];
  if (!node) throw new Error(`there is no node ${index}`);
  return node.coordinator;
}
