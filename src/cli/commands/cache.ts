import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { Fault } from "../../base/fault.ts";
import { onInterrupt } from "../../dev/interrupt.ts";
import { printJson } from "../print.ts";
import { ProgressBar } from "../progress-bar.ts";
import { UsageError } from "../report-error.ts";
import { clientCommand, type TargetOptions, withClient } from "../target.ts";

interface DumpOptions extends TargetOptions {
  readonly pattern?: string;
}

interface RestoreOptions extends TargetOptions {
  readonly clear?: boolean;
}

/** A cache may be large. Unit: ms. */
const TIMEOUT_MS = 3_600_000;

export function configure(command: Command): Command {
  command
    .description("Writes the cache to a file, or a file to the cache.")
    .addHelpText("after", "\nExample:\n  gearmesh cache dump cache.jsonl");
  clientCommand(
    command
      .command("dump")
      .description("Writes objects and lists of all shards to a file, which is there once all is in it.")
      .argument("<file>", "where to")
      .option("--pattern <pattern>", "only those whose keys match, for example user:*")
      .action(dump),
    "gearmesh cache dump cache.jsonl --pattern 'user:*'",
    TIMEOUT_MS,
  );
  clientCommand(
    command
      .command("restore")
      .description("Saves what a dump has over what is there; what has expired since is left out.")
      .argument("<file>", "what cache dump has written")
      .option("--clear", "clear the cache first")
      .action(restore),
    "gearmesh cache restore cache.jsonl",
    TIMEOUT_MS,
  );
  return command;
}

async function dump(file: string, { pattern = "", ...options }: DumpOptions): Promise<void> {
  using bar = new ProgressBar();
  const written = await endable(options, (signal) =>
    withClient(options, ({ cache }) =>
      cache.dumpWrite(file, {
        pattern,
        signal,
        onProgress: ({ keysSeen, keysTotal, shards }) =>
          bar.show(keysSeen, keysTotal, `of the keys of ${shards} shards`),
      }),
    ),
  );
  if (options.json) printJson({ file, written });
  else console.log(`wrote ${written} objects and lists to ${file}`);
}

async function restore(file: string, { clear = false, ...options }: RestoreOptions): Promise<void> {
  const total = await sizeOf(file);
  using bar = new ProgressBar();
  const outcome = await endable(options, (signal) =>
    withClient(options, async ({ cache }) => {
      const cleared = clear ? await cache.clear("", { signal }) : 0;
      const onProgress = (bytes: number) => bar.show(bytes, total, `of ${file}`);
      return { cleared, ...(await cache.dumpRead(file, { signal, onProgress })) };
    }),
  );
  if (options.json) return printJson({ file, ...outcome });
  console.log(`restored ${outcome.restored} objects and lists; ${outcome.expired} objects had expired`);
}

/** Ends with Ctrl-C, and after the time that the options give it. */
async function endable<T>({ timeout }: TargetOptions, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using interrupt = onInterrupt();
  const tooLong = AbortSignal.timeout(timeout);
  try {
    return await work(AbortSignal.any([interrupt.signal, tooLong]));
  } catch (thrown) {
    if (!tooLong.aborted) throw thrown;
    throw new Fault("DEADLINE_EXCEEDED", `it was not done within ${timeout} ms; --timeout gives it longer`);
  }
}

async function sizeOf(file: string): Promise<number> {
  try {
    return (await stat(file)).size;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : cause;
    throw new UsageError(`cannot read ${file} (${code})`, { cause });
  }
}
