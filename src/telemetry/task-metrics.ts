import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import type { QueueDepth } from "../tasks/queue-depths.ts";
import { RERUN_CAUSES, type TaskObserver } from "../tasks/task-ports.ts";
import { askedGauges } from "./asked-gauges.ts";

/** What is asked at each scrape. */
export interface TaskSources {
  readonly tasks: () => {
    /** Tasks that this coordinator holds. */
    readonly held: number;
    readonly poolSize: number;
    readonly poolBusy: number;
    /** External workers that are connected to it. */
    readonly workers: number;
    /** Tasks that are awaited at it. */
    readonly awaited: number;
    /** Of queues' partitions on this coordinator's shard, by the queue's name. */
    readonly depths: ReadonlyMap<string, QueueDepth>;
  };
}

/** From a millisecond to minutes: tasks wait and take longer than calls. Unit: s. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export function watchTaskSources(registers: Registry[], { tasks }: TaskSources): void {
  const gauge = askedGauges(registers);
  gauge(
    "gearmesh_tasks_in_flight",
    "Tasks that this coordinator holds, for library functions and external workers.",
    () => tasks().held,
  );
  gauge(
    "gearmesh_task_workers",
    "Library functions that may work tasks at this coordinator at a time, as the pool is now.",
    () => tasks().poolSize,
  );
  gauge(
    "gearmesh_task_workers_busy",
    "Library functions that work a task at this coordinator.",
    () => tasks().poolBusy,
  );
  gauge(
    "gearmesh_task_external_workers",
    "External workers that are connected to this coordinator.",
    () => tasks().workers,
  );
  gauge("gearmesh_tasks_awaited", "Tasks whose result somebody waits for at this coordinator.", () => tasks().awaited);
  new Gauge({
    registers,
    name: "gearmesh_task_queue_tasks",
    help: "Tasks of each queue on this coordinator's shard, by state (waiting, delayed, active, failed); the sum over all coordinators is what the queue holds. Queues of taskQueues and the default one have their names, all others are _OTHER. Measured every 5 s; nothing while the coordinator stands by. waiting growing: more workers are needed, or a queue has none. failed: gearmesh keeps them until they are retried or deleted.",
    labelNames: ["queue", "state"],
    collect() {
      this.reset();
      for (const [queue, depth] of tasks().depths) {
        for (const [state, count] of Object.entries(depth)) this.set({ queue, state }, count);
      }
    },
  });
}

export function taskRecorder(registers: Registry[]): TaskObserver {
  const enqueued = new Counter({
    registers,
    name: "gearmesh_tasks_enqueued_total",
    help: "Tasks that were enqueued at this coordinator, those of recurrent tasks not counted.",
  });
  const ended = new Counter({
    registers,
    name: "gearmesh_tasks_worked_total",
    help: "Attempts of tasks that came to an end at this coordinator, by code: OK or TASK_FAILED.",
    labelNames: ["code"],
  });
  const seconds = new Histogram({
    registers,
    name: "gearmesh_task_seconds",
    help: "Time from the beginning of an attempt until what came of it was written down.",
    buckets: BUCKETS,
  });
  const waited = new Histogram({
    registers,
    name: "gearmesh_task_wait_seconds",
    help: "Time that a task waited from when it was enqueued, or due, until an attempt began. Grows: more workers are needed, or a queue has none.",
    buckets: BUCKETS,
  });
  const reruns = new Counter({
    registers,
    name: "gearmesh_task_reruns_total",
    help: "Tasks that had begun and are worked again although they did not fail, by cause: worker-died (an external worker's stream ended), lease-over (a coordinator is gone without a word, or was cut off from Redis), sandbox-died (libraries ended the sandbox process), handed-back (this coordinator left, or could not run it).",
    labelNames: ["cause"],
  });
  for (const cause of RERUN_CAUSES) reruns.inc({ cause }, 0);
  return {
    enqueued: (tasks) => enqueued.inc(tasks),
    began: (waitedSeconds) => waited.observe(waitedSeconds),
    ended(code: FaultCode | "OK", duration) {
      ended.inc({ code });
      seconds.observe(duration);
    },
    rerun: (cause) => reruns.inc({ cause }),
  };
}
