import { failureOf } from "./api-error.ts";
import { ClientContext, withholdLaterMethods } from "./clients.ts";
import { restrictGlobals } from "./globals.ts";
import type { Host, Payload } from "./host.ts";
import { defineProperty, resolved, stringifyJson, whenSettled } from "./primordials.ts";
import { createRedisObject } from "./redis-object.ts";
import { Registry } from "./registry.ts";
import { Run, Task } from "./run.ts";

/** What the host calls in an isolate. It keeps a reference to each for as long as the isolate lives. */
export interface Guest {
  /** Ends the load; JSON of what was registered. */
  finishLoad(): string;
  /** Why a registration was refused last. */
  refusal(): string;
  /** Starts a run; it is answered with `succeeded` or `failed`, and over once its background work has ended, too. */
  invoke(runId: number, index: number, ...args: (string | ArrayBuffer)[]): void;
  /** What a remote call came back with: see Run. Nothing: the turn of background work has come. */
  answer(runId: number, callId: number, ...outcomes: (boolean | Payload | null)[]): void;
  /** The host ended the run. */
  forget(runId: number): void;
}

/** Prepares the isolate for its library: sets the global `redis`, takes away what a library must not have. */
export function install(
  call: Host["call"],
  remoteCall: Host["remoteCall"],
  publish: Host["publish"],
  progress: Host["progress"],
  background: Host["background"],
  backgroundEnded: Host["backgroundEnded"],
  succeeded: Host["succeeded"],
  failed: Host["failed"],
  log: Host["log"],
  config: string,
  apiVersion: string,
  v8Version: string,
  maxBytes: number,
): Guest {
  const host: Host = { call, remoteCall, publish, progress, background, backgroundEnded, succeeded, failed, log };
  const context = new ClientContext(host, maxBytes);
  const registry = new Registry();
  const runs: Record<number, Run> = { __proto__: null } as never;
  restrictGlobals();
  withholdLaterMethods(apiVersion);
  const redis = createRedisObject({ host, registry, config, apiVersion, v8Version });
  defineProperty(globalThis, "redis", { value: redis });

  const dropRun = (runId: number) => {
    delete runs[runId];
  };

  function fail(task: Task, thrown: unknown): void {
    task.end();
    const { code, message, stack } = failureOf(thrown);
    failed(task.run.id, code, message, stack);
  }

  function succeed(task: Task, index: number, value: unknown): void {
    let result: unknown;
    try {
      result = registry.pack(index, value, maxBytes);
    } catch (thrown) {
      fail(task, thrown);
      return;
    }
    task.end();
    succeeded(task.run.id, result);
  }

  function settleWith(task: Task, index: number, outcome: PromiseLike<unknown>): void {
    void whenSettled(
      resolved(outcome),
      (value) => succeed(task, index, value),
      (thrown) => fail(task, thrown),
    );
  }

  return {
    finishLoad: () => stringifyJson(registry.close()),

    refusal: () => registry.refusal,

    invoke(runId, index, ...args) {
      // The host may have ended the code that had opened it, which runs no `finally`.
      context.openBlock = undefined;
      const run = new Run(runId, host, dropRun);
      runs[runId] = run;
      const task = new Task(run);
      try {
        const outcome = registry.invoke(index, task, context, args);
        if (isThenable(outcome)) settleWith(task, index, outcome);
        else succeed(task, index, outcome);
      } catch (thrown) {
        fail(task, thrown);
      }
    },

    answer(runId, callId, ...outcomes) {
      context.openBlock = undefined;
      runs[runId]?.answer(callId, outcomes);
    },

    forget(runId) {
      runs[runId]?.end();
    },
  };
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
