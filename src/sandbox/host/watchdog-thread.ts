/**
 * The watchdog's thread. It tells the coordinator that the process lives, and ends the process when V8 cannot end code whose time is up: then
 * the main thread never gets a turn again, to say so or to do anything.
 */
import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { monotonicMs } from "../../base/deadline.ts";
import { lengthPrefixed } from "../frame-channel.ts";
import { encodeReport, type Report } from "../reports.ts";
import { codeState } from "./running-code.ts";

const PERIOD_MS = 50;
const ALIVE_PERIOD_MS = 500;

/** How long V8 may take to end code whose time is up, before it is taken for unable to. */
const GRACE_MS = 500;

const { memory, descriptor }: { memory: SharedArrayBuffer; descriptor: number } = workerData;

let seen = codeState(memory);
let sinceMs = monotonicMs();

function report(message: Report): void {
  try {
    writeSync(descriptor, lengthPrefixed(encodeReport(message)));
  } catch (error) {
    // A coordinator that is held up has not read what was sent before. One that is gone can end nothing here any more, and the main thread
    // may be in code that would go on for long.
    if (!(error instanceof Error && "code" in error && error.code === "EAGAIN")) endProcess();
  }
}

function endProcess(): void {
  process.kill(process.pid, "SIGKILL");
}

function look(): void {
  const state = codeState(memory);
  const now = monotonicMs();
  if (state.progress !== seen.progress || state.runId === 0) {
    seen = state;
    sinceMs = now;
    return;
  }
  if (now - sinceMs < state.timeoutMs + GRACE_MS) return;
  report({ kind: "stuck", reason: "a library's code cannot be ended", id: state.runId, loadId: state.loadId });
  endProcess();
}

setInterval(look, PERIOD_MS);
setInterval(() => report({ kind: "alive", rssBytes: process.memoryUsage.rss() }), ALIVE_PERIOD_MS);
