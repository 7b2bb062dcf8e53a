import { integer, words } from "./setting.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What is set of tasks. */
export const TASK_SETTINGS = {
  taskQueues: words({
    doc: "Queues that are drained before all others, each before the next one. They are known without being configured.",
    default: [],
    defaultDoc: "none: in alphabetical order",
  }),
  taskMinWorkers: integer({
    doc: "Library functions that may work tasks here at a time, at least.",
    min: 1,
    max: 10_000,
    default: 4,
  }),
  taskMaxWorkers: integer({
    doc: "Library functions that may work tasks here at a time, at most. Between the two the pool follows the load.",
    min: 1,
    max: 10_000,
    default: 64,
  }),
  taskLeaseMs: integer({
    doc: "How long a task that a coordinator holds outlives it: within this and two thirds of it after the death of the coordinator the task is worked again. Longer than Redis may be away, or tasks are worked twice.",
    unit: "ms",
    min: 500,
    max: HOUR_MS,
    default: 15_000,
  }),
  taskMaxReruns: integer({
    doc: "How often a task may begin without coming to an end, because whoever worked it died, before it is put with those that failed.",
    min: 1,
    max: 1000,
    default: 25,
  }),
  taskResultMs: integer({
    doc: "How long a completed task and its result are kept.",
    unit: "ms",
    min: 1000,
    max: 24 * HOUR_MS,
    default: 10 * MINUTE_MS,
  }),
  taskMaxResults: integer({
    doc: "Completed tasks that are kept for each partition of a queue, even where taskResultMs is not over.",
    min: 100,
    max: 1_000_000,
    default: 10_000,
  }),
  maxTaskBytes: integer({
    doc: "Largest arguments of a task. They must fit into a message of maxMessageBytes, too.",
    unit: "bytes",
    min: KIB,
    max: 64 * MIB,
    default: MIB,
  }),
} as const;
