import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import { Fault } from "../base/fault.ts";
import { type JsonValue, payloadOf, payloadValue } from "../base/json-payload.ts";
import { faultOf } from "../grpc/status.ts";
import {
  type TaskToWork,
  type WorkRequest,
  type WorkResponse,
  workEvent,
  workRequest,
  workResponse,
} from "../tasks/work-codec.ts";
import type { Coordinators } from "./coordinators.ts";
import { passedThrough, type RpcChannel } from "./rpc-channel.ts";

/** What a handler is told of the task that it works. */
export interface WorkedTask {
  readonly id: string;
  readonly name: string;
  readonly queue: string;
  /** Higher than that of every attempt before: whoever has seen a higher one refuses this. */
  readonly fence: number;
  /** Attempts that failed before. */
  readonly attemptsMade: number;
  readonly attempts: number;
  /** Aborts when the task is no longer this worker's. */
  readonly signal: AbortSignal;
  /** Tells how far it is. */
  progress(progress: unknown): void;
}

/** Works one attempt; what it resolves with is the task's result, and what it throws why the attempt failed. */
export type TaskHandler = (args: JsonValue | Uint8Array, task: WorkedTask) => unknown;

/** By the name of the task. */
export type TaskHandlers = Readonly<Record<string, TaskHandler | ({ readonly handle: TaskHandler } & TaskOptions)>>;

/** How a task is to be worked. */
export interface TaskOptions {
  /** Default: that of the worker. */
  readonly queue?: string;
  /** How often it may fail, the first time included. Default: 1. */
  readonly attempts?: number;
  /** From its first failure to the next attempt; it doubles with each. Default: 0. Unit: ms. */
  readonly backoffMs?: number;
  /** Longest that one attempt may take. Default: as long as it takes. Unit: ms. */
  readonly timeoutMs?: number;
}

export interface WorkerOptions {
  /** For people. */
  readonly name?: string;
  /** Of tasks that name no other. Default: default. */
  readonly queue?: string;
  /** Tasks at a time. Default: 10. */
  readonly concurrency?: number;
  /** Told why its stream was lost; it is opened again. */
  readonly onLost?: (fault: Fault) => void;
}

export interface TaskWorkerParts {
  readonly coordinators: Coordinators;
  readonly path: string;
  readonly handlers: TaskHandlers;
  readonly options: WorkerOptions;
}

const RECONNECT: BackoffLimits = { initialMs: 50, maxMs: 1000 };
const DEFAULT_CONCURRENCY = 10;

interface Stream {
  write(bytes: Buffer): unknown;
  end(): unknown;
  cancel(): void;
}

/** A worker of tasks, in this process. */
export class TaskWorker implements AsyncDisposable {
  readonly #parts: TaskWorkerParts;
  readonly #running = new Map<string, AbortController>();
  readonly #welcome = Promise.withResolvers<void>();
  #stream: Stream | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #reconnect: NodeJS.Timeout | undefined;
  #attempt = 0;
  #isClosed = false;
  #isSentAway = false;
  #closed = Promise.withResolvers<void>();

  constructor(parts: TaskWorkerParts) {
    this.#parts = parts;
    this.#open();
  }

  /** Resolves once a coordinator has taken it. */
  get ready(): Promise<void> {
    return this.#welcome.promise;
  }

  /** Takes no further task, and resolves once those that it holds have ended. Idempotent. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#welcome.promise.catch(() => undefined);
      this.#welcome.reject(new Fault("CANCELLED", "the worker was closed"));
      clearTimeout(this.#reconnect);
      if (!this.#stream) this.#closed.resolve();
      this.#endIfDone();
    }
    return this.#closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): void {
    const { coordinators, path } = this.#parts;
    const channel = coordinators.current;
    const call = channel.bidiStream(passedThrough(path));
    this.#stream = call;
    this.#isSentAway = false;
    call.on("data", (bytes: Buffer) => {
      if (this.#stream === call) this.#heard(workResponse.decode(bytes));
    });
    // 'status' follows every end and says the same.
    call.on("error", () => undefined);
    call.on("status", (status) => this.#lost(call, channel, status.code === 0 ? undefined : faultOf(status)));
    this.#say({ hello: this.#hello() });
  }

  /** A client that was closed meanwhile opens nothing any more: its worker is closed with it. */
  #openAgain(): void {
    try {
      this.#open();
    } catch {
      void this.close();
    }
  }

  #hello(): NonNullable<WorkRequest["hello"]> {
    const { handlers, options } = this.#parts;
    const { name = "", queue = "", concurrency = DEFAULT_CONCURRENCY } = options;
    const tasks = Object.entries(handlers).map(([task, handler]) => {
      const given: TaskOptions = typeof handler === "function" ? {} : handler;
      const { queue: own = queue, attempts = 1, backoffMs: backoff = 0, timeoutMs = 0 } = given;
      const recurs = { frequencyMs: 0, cron: "", timeZone: "" };
      return { name: task, queue: own, attempts, backoffMs: backoff, timeoutMs, external: true, ...recurs };
    });
    return { worker: name, tasks, credit: concurrency };
  }

  #heard({ welcome, task, cancel, goAway }: WorkResponse): void {
    if (welcome) {
      this.#attempt = 0;
      this.#welcome.resolve();
      this.#heartbeat = setInterval(() => this.#say({ heartbeat: new Uint8Array() }), welcome.heartbeatMs);
      this.#heartbeat.unref();
    } else if (task) void this.#work(task);
    else if (cancel) this.#running.get(keyOf(cancel))?.abort(cancel.reason);
    else if (goAway) this.#isSentAway = true;
  }

  async #work(task: TaskToWork): Promise<void> {
    const { id, fence } = task;
    if (this.#isClosed || this.#isSentAway) {
      this.#say({ release: { id, fence } });
      return;
    }
    const abort = new AbortController();
    this.#running.set(keyOf(task), abort);
    const stream = this.#stream;
    const settle = (event: Partial<WorkRequest>): void => {
      this.#running.delete(keyOf(task));
      // What belongs to a stream that was lost is somebody else's by now.
      if (this.#stream === stream) {
        if (!this.#isClosed) this.#say({ credit: 1 });
        this.#say(event);
      }
      this.#endIfDone();
    };
    try {
      const payload = payloadOf((await this.#handle(task, abort.signal)) ?? null);
      settle({ complete: { id, fence, payload } });
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown.message : String(thrown);
      settle({ fail: { id, fence, error, final: false } });
    }
  }

  async #handle(task: TaskToWork, signal: AbortSignal): Promise<unknown> {
    const { id, fence, name, queue, attemptsMade, attempts, args } = task;
    const known = this.#parts.handlers[name];
    const handle = typeof known === "function" ? known : known?.handle;
    if (!handle) throw new Error(`this worker has no task ${name}`);
    return handle(args ? payloadValue(args) : null, {
      id,
      name,
      queue,
      fence,
      attemptsMade,
      attempts,
      signal,
      progress: (progress) => this.#say({ progress: { id, fence, payload: payloadOf(progress) } }),
    });
  }

  #say(event: Partial<WorkRequest>): void {
    this.#stream?.write(workEvent(workRequest, event));
  }

  #endIfDone(): void {
    if (this.#isClosed && this.#running.size === 0) this.#stream?.end();
  }

  #lost(
    stream: Stream,
    channel: RpcChannel,
    fault = new Fault("UNAVAILABLE", "the coordinator ended the stream"),
  ): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    clearInterval(this.#heartbeat);
    for (const abort of this.#running.values()) abort.abort(fault);
    if (this.#isClosed) {
      this.#closed.resolve();
      return;
    }
    this.#parts.coordinators.leave(channel);
    this.#parts.options.onLost?.(fault);
    this.#reconnect = setTimeout(() => this.#openAgain(), backoffMs(this.#attempt++, RECONNECT));
  }
}

function keyOf({ id, fence }: Pick<TaskToWork, "id" | "fence">): string {
  return `${fence} ${id}`;
}
