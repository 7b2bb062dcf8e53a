import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { askSupervisor, type SupervisorStatus } from "../supervisor/control-socket.ts";

const DEFAULT = ".gearmesh-cluster";
const POLL_MS = 100;

/** Which of the clusters on this machine is meant. */
export interface DirectoryOptions {
  readonly directory: string;
}

export interface WaitOptions extends DirectoryOptions {
  /** Unit: ms. */
  readonly timeout: number;
}

export function directoryOption(command: Command): Command {
  return command.option(
    "--directory <path>",
    "where pid files, logs and the socket of the supervisor are",
    (path) => resolve(path),
    resolve(DEFAULT),
  );
}

export function waitOptions(command: Command, timeoutMs: number): Command {
  return directoryOption(command).option("--timeout <ms>", "how long it may take", milliseconds, timeoutMs);
}

/** Rejects with UNAVAILABLE where no cluster runs there. */
export async function requireSupervisor(directory: string): Promise<SupervisorStatus> {
  const status = await askSupervisor(directory);
  if (status) return status;
  throw new Fault("UNAVAILABLE", `no cluster runs in ${directory}: \`gearmesh cluster start\` starts one there`);
}

/** Asks until `isDone`; rejects with UNAVAILABLE where that takes longer than `timeoutMs`. */
export async function waitFor(
  what: string,
  { directory, timeout }: WaitOptions,
  isDone: (status: SupervisorStatus | undefined) => boolean,
): Promise<void> {
  const giveUpAt = monotonicMs() + timeout;
  while (!isDone(await askSupervisor(directory))) {
    if (monotonicMs() > giveUpAt) throw new Fault("UNAVAILABLE", `${what} took longer than ${timeout} ms, and goes on`);
    await delay(POLL_MS);
  }
}

function milliseconds(text: string): number {
  const ms = Number(text);
  if (!Number.isSafeInteger(ms) || ms < 1) throw new InvalidArgumentError("It must be a number of ms above 0.");
  return ms;
}
