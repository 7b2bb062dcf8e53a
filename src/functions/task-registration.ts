import { Fault } from "../base/fault.ts";

/** A task as a library registered it. */
export interface TaskRegistration {
  readonly name: string;
  readonly queue: string;
  /** Of a recurrent task: from one run to the next; 0: it is none. Unit: ms. */
  readonly frequencyMs: number;
  /** Of a recurrent task in place of a frequency: when it runs; "": it is none. */
  readonly cron: string;
  /** In which `cron` is meant. */
  readonly timeZone: string;
  /** How often it may fail before it is given up, the first time included. */
  readonly attempts: number;
  /** From a failure to the next attempt; it doubles with each. Unit: ms. */
  readonly backoffMs: number;
  /** Longest that one attempt may take; 0: as long as any call. Unit: ms. */
  readonly timeoutMs: number;
}

/** When a middleware of tasks runs. */
export const TASK_STAGES = ["before_enqueue", "after_enqueue", "before_work", "after_work"] as const;
export type TaskStage = (typeof TASK_STAGES)[number];

/** What runs around tasks. */
export interface MiddlewareRegistration {
  readonly stage: TaskStage;
  /** Names of the tasks that it is for; none: all of them. */
  readonly tasks: readonly string[];
}

const MAX_ATTEMPTS = 1000;
/** Longest of every time that a task may name. Unit: ms. */
const MAX_TIME_MS = 366 * 24 * 60 * 60 * 1000;
const MAX_MIDDLEWARE_TASKS = 1000;
const OPTIONS = ["queue", "frequency", "cron", "timeZone", "attempts", "backoff", "timeout"];

/** `options`: what the library said, as JSON. Throws LIBRARY_REFUSED. */
export function taskRegistration(name: string, options: string): TaskRegistration {
  const given = parsed(options);
  const refuse = (what: string): never => refused(`task ${name}: ${what}`);
  for (const key of Object.keys(given)) {
    if (!OPTIONS.includes(key)) refuse(`unknown option '${key.slice(0, 64)}', known are ${OPTIONS.join(", ")}`);
  }
  const text = (key: string, otherwise: string): string => {
    const value = given[key] ?? otherwise;
    return typeof value === "string" && value.length <= 256 ? value : refuse(`'${key}' must be a string`);
  };
  const whole = (key: string, otherwise: number, max: number): number => {
    const value = given[key] ?? otherwise;
    const isRight = typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= max;
    return isRight ? value : refuse(`'${key}' must be a whole number from 0 to ${max}`);
  };
  const registration = {
    name,
    queue: text("queue", "default"),
    frequencyMs: whole("frequency", 0, MAX_TIME_MS),
    cron: text("cron", ""),
    timeZone: text("timeZone", "UTC"),
    attempts: Math.max(1, whole("attempts", 1, MAX_ATTEMPTS)),
    backoffMs: whole("backoff", 0, MAX_TIME_MS),
    timeoutMs: whole("timeout", 0, MAX_TIME_MS),
  };
  if (registration.frequencyMs > 0 && registration.cron !== "") refuse("'frequency' and 'cron' are both given");
  return registration;
}

/** As `taskRegistration`. */
export function middlewareRegistration(name: string, options: string): MiddlewareRegistration {
  const stage = TASK_STAGES.find((each) => each === name);
  if (!stage) return refused(`unknown stage '${name}' of a task middleware, known are ${TASK_STAGES.join(", ")}`);
  const { tasks = [], ...others } = parsed(options);
  const isRight =
    Array.isArray(tasks) && tasks.length <= MAX_MIDDLEWARE_TASKS && tasks.every((task) => typeof task === "string");
  if (!isRight || Object.keys(others).length > 0) {
    return refused(`the options of task middleware ${stage} are {tasks: [names]}, ${MAX_MIDDLEWARE_TASKS} at most`);
  }
  return { stage, tasks };
}

function parsed(options: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(options);
    if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  } catch {
    // Falls through: the library has changed how its registrations are told.
  }
  return refused("the options of a task must be an object");
}

function refused(text: string): never {
  throw new Fault("LIBRARY_REFUSED", text);
}
