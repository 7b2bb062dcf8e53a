import { type Command, InvalidArgumentError, Option } from "commander";
import type { EnqueueOptions, TaskDescription, TaskFilter } from "../../client/tasks.ts";
import { TASK_STATES } from "../../tasks/task-store.ts";
import { jsonOfPayload, printJson, printTable } from "../print.ts";
import { UsageError } from "../report-error.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface FilterOptions extends TargetOptions, Pick<TaskFilter, "queue" | "state" | "name" | "id"> {
  readonly count?: number;
}

interface EnqueueCommandOptions extends TargetOptions, Pick<EnqueueOptions, "queue" | "priority" | "id"> {
  /** Unit: ms. */
  readonly delay?: number;
  readonly wait?: boolean;
}

export function configure(command: Command): Command {
  command
    .description("Enqueues tasks, shows queues and tasks, and retries, deletes or holds them.")
    .addHelpText("after", "\nExample:\n  gearmesh tasks list --state failed");
  clientCommand(
    command.command("queues").description("Shows queues, and who works them.").action(queues),
    "gearmesh tasks queues",
  );
  clientCommand(
    filtered(command.command("list").description("Shows tasks.")).addOption(stateOption()).action(list),
    "gearmesh tasks list --state failed --queue mail",
  );
  clientCommand(
    command
      .command("enqueue")
      .description("Enqueues a task and prints its id.")
      .argument("<name>", "what a library or a worker has registered")
      .argument("[arguments]", "JSON; default: null", parsedJson)
      .option("--queue <queue>", "not the one that the task was registered for")
      .option("--delay <ms>", "not now, but so much later", wholeNumber)
      .option("--priority <number>", "1 is worked first; without one before those that have one", wholeNumber)
      .option("--id <id>", "an id of your own: the same task sent again is not enqueued twice")
      .option("--wait", "wait for its result, and print that")
      .action(enqueue),
    `gearmesh tasks enqueue welcome '{"user": 1}' --wait`,
  );
  clientCommand(
    filtered(command.command("retry").description("Puts failed tasks back into their queues.")).action(retry),
    "gearmesh tasks retry --queue mail",
  );
  clientCommand(
    filtered(command.command("delete").description("Deletes tasks that nobody is at work on."))
      .addOption(stateOption())
      .action(remove),
    "gearmesh tasks delete --queue mail --state failed",
  );
  clientCommand(
    command
      .command("pause")
      .description("Has nobody begin a task of a queue.")
      .argument("<queue>", "which")
      .action((queue: string, options: TargetOptions) => hold(queue, true, options)),
    "gearmesh tasks pause mail",
  );
  clientCommand(
    command
      .command("resume")
      .description("Has the tasks of a queue begin again.")
      .argument("<queue>", "which")
      .action((queue: string, options: TargetOptions) => hold(queue, false, options)),
    "gearmesh tasks resume mail",
  );
  return command;
}

function filtered(command: Command): Command {
  return command
    .option("--queue <queue>", "those of this queue")
    .option("--name <name>", "those of this name")
    .option("--id <id>", "this one")
    .option("--count <number>", "so many at most", wholeNumber);
}

function stateOption(): Option {
  return new Option("--state <state>", "those in this state").choices(TASK_STATES);
}

async function queues(options: TargetOptions): Promise<void> {
  const { workers, ...details } = await withClient(options, ({ tasks }) => tasks.details());
  if (options.json) return printJson({ ...details, workers });
  const rows = Object.values(details.queues).map((queue) => [
    queue.queue,
    ...[queue.length, queue.delayed, queue.active, queue.failed, queue.completed].map(String),
    queue.paused ? "paused" : "",
  ]);
  printTable(["QUEUE", "WAITING", "DELAYED", "ACTIVE", "FAILED", "COMPLETED", ""], rows);
  console.log("");
  printTable(
    ["NODE", "BUSY", "WORKERS", "MOST", "EXTERNAL WORKERS"],
    workers.map(({ node, busy, size, max, workers: external }) => [
      node,
      ...[busy, size, max].map(String),
      external.map(({ id, holding }) => `${id} (holds ${holding})`).join(", "),
    ]),
  );
}

async function list({ json, ...options }: FilterOptions): Promise<void> {
  const found = await withClient(options, ({ tasks }) => tasks.list(filterOf(options)));
  if (json) return printJson(found.map(plain));
  const headings = ["ID", "NAME", "QUEUE", "STATE", "FAILED", "OF", "ARGUMENTS", "WORKER", "ERROR"];
  printTable(
    headings,
    found.map(({ id, name, queue, state, attemptsMade, attempts, args, worker, error }) => [
      id,
      name,
      queue,
      state,
      String(attemptsMade),
      String(attempts),
      JSON.stringify(jsonOfPayload(args)),
      worker,
      error,
    ]),
  );
}

async function enqueue(name: string, args: unknown, options: EnqueueCommandOptions): Promise<void> {
  const { delay: delayMs = 0, wait, json, queue, priority, id } = options;
  const chosen = {
    ...(queue !== undefined && { queue }),
    ...(priority !== undefined && { priority }),
    ...(id !== undefined && { id }),
  };
  await withClient(options, async ({ tasks }) => {
    const task = await tasks.enqueueIn(delayMs, name, args, chosen);
    if (!wait) return json ? printJson(task) : console.log(task.id);
    const result = jsonOfPayload(await tasks.result(task.id, { timeoutMs: options.timeout }));
    if (json) printJson({ ...task, result });
    else console.log(typeof result === "string" ? result : JSON.stringify(result, null, 2));
  });
}

async function retry(options: FilterOptions): Promise<void> {
  const count = await withClient(options, ({ tasks }) => tasks.retry(filterOf(options)));
  if (options.json) printJson({ count });
  else console.log(`${count} failed tasks are back in their queues`);
}

async function remove(options: FilterOptions): Promise<void> {
  const filter = filterOf(options);
  if (Object.keys(filter).length === 0) throw new UsageError("say which: --queue, --state, --name or --id");
  const { count } = await withClient(options, ({ tasks }) => tasks.delete(filter));
  if (options.json) printJson({ count });
  else console.log(`${count} tasks are deleted`);
}

async function hold(queue: string, isPaused: boolean, options: TargetOptions): Promise<void> {
  await withClient(options, ({ tasks }) => (isPaused ? tasks.pauseQueue(queue) : tasks.resumeQueue(queue)));
  if (options.json) printJson({ queue, paused: isPaused });
  else console.log(`queue ${queue} is ${isPaused ? "paused" : "worked again"}`);
}

function filterOf({ queue, state, name, id, count }: FilterOptions): TaskFilter & { readonly count?: number } {
  return {
    ...(queue !== undefined && { queue }),
    ...(state !== undefined && { state }),
    ...(name !== undefined && { name }),
    ...(id !== undefined && { id }),
    ...(count !== undefined && { count }),
  };
}

function plain({ args, progress, result, ...task }: TaskDescription): object {
  return {
    ...task,
    args: jsonOfPayload(args),
    ...(progress !== undefined && { progress: jsonOfPayload(progress) }),
    ...(result !== undefined && { result: jsonOfPayload(result) }),
  };
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(`They must be JSON, for example '{"user": 1}' or '"text"'.`);
  }
}

function wholeNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new InvalidArgumentError("It must be a whole number.");
  return number;
}
