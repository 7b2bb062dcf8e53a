import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { payloadOf, payloadValue } from "../base/json-payload.ts";
import type { Attempt, Outcome } from "./attempt.ts";
import type { Stage, TaskFunctions } from "./task-ports.ts";

/*
 * What libraries run around tasks. Each is given what the stage is about and what is known of the task. `false` refuses, `{args: ...}` or `{result: ...}` puts another value in its place, and anything else
 * changes nothing; where one throws, what it throws is what is wrong. All payloads are encoded.
 */

const NULL = payloadOf(null);

/** Resolves with the arguments to enqueue. Rejects with REFUSED_BY_HOOK. */
export function runBeforeEnqueue(
  functions: TaskFunctions,
  task: string,
  args: Uint8Array,
  info: Uint8Array,
  context: CallContext,
): Promise<Uint8Array> {
  return changed(functions, "before_enqueue", task, "args", args, info, context);
}

/** It is enqueued already: what comes of this changes nothing. */
export async function runAfterEnqueue(
  functions: TaskFunctions,
  task: string,
  args: Uint8Array,
  info: Uint8Array,
  context: CallContext,
): Promise<void> {
  for (const run of functions.middleware("after_enqueue", task))
    await run([args, info], context).catch(() => undefined);
}

/** Whether there is anything to run around the work of a task. */
export function isSurrounded(functions: TaskFunctions, task: string): boolean {
  return functions.middleware("before_work", task).length > 0 || functions.middleware("after_work", task).length > 0;
}

/** Runs an attempt, and around it what libraries have for that: `work` is given the arguments to work with. Rejects with REFUSED_BY_HOOK. */
export async function workSurrounded(
  functions: TaskFunctions,
  { task: { name, args = NULL } }: Attempt,
  info: Uint8Array,
  context: CallContext,
  work: (args: Uint8Array) => Promise<Outcome>,
): Promise<Outcome> {
  if (!isSurrounded(functions, name)) return work(args);
  const outcome = await work(await changed(functions, "before_work", name, "args", args, info, context));
  if (outcome.kind !== "completed") return outcome;
  return { ...outcome, result: await changed(functions, "after_work", name, "result", outcome.result, info, context) };
}

async function changed(
  functions: TaskFunctions,
  stage: Stage,
  task: string,
  what: "args" | "result",
  before: Uint8Array,
  info: Uint8Array,
  context: CallContext,
): Promise<Uint8Array> {
  let value = before;
  for (const run of functions.middleware(stage, task)) {
    const answer = payloadValue(await refusing(stage, run([value, info], context)));
    if (answer === false) throw new Fault("REFUSED_BY_HOOK", `task ${task} was refused by a ${stage} middleware`);
    if (typeof answer === "object" && answer !== null && what in answer) {
      value = payloadOf((answer as Readonly<Record<string, unknown>>)[what]);
    }
  }
  return value;
}

/** What a middleware throws before a task is enqueued is for whoever enqueues it; later it is why the attempt failed. */
async function refusing<T>(stage: Stage, run: Promise<T>): Promise<T> {
  try {
    return await run;
  } catch (thrown) {
    const fault = Fault.from(thrown);
    if (stage !== "before_enqueue" || fault.code !== "TASK_FAILED") throw fault;
    throw new Fault("REFUSED_BY_HOOK", fault.message, { cause: fault });
  }
}
