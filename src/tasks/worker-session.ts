import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload, payloadOf } from "../base/json-payload.ts";
import { WireError } from "../base/wire.ts";
import type { Attempt, Outcome } from "./attempt.ts";
import type { RegisteredTask } from "./task-codec.ts";
import {
  type TaskFailed,
  type TaskOutcome,
  type WorkerHello,
  type WorkRequest,
  type WorkResponse,
  workEvent,
  workRequest,
  workResponse,
} from "./work-codec.ts";

/** The stream to one worker. */
export interface WorkerLink {
  send(event: Uint8Array): void;
  /** Without a fault: all is well. */
  end(fault?: Fault): void;
}

export interface WorkerSessionParts {
  readonly link: WorkerLink;
  readonly id: string;
  readonly nodeName: () => string;
  readonly clock: Clock;
  readonly heartbeatMs: number;
  readonly maxResultBytes: number;
  /** Makes what the worker works known. Rejects with INVALID_ARGUMENT or UNAVAILABLE. */
  readonly register: (tasks: readonly RegisteredTask[]) => Promise<void>;
  /** It may be given tasks from now on. */
  readonly opened: (session: WorkerSession) => void;
  readonly closed: (session: WorkerSession) => void;
  /** It would take another task. */
  readonly roomy: (session: WorkerSession) => void;
  readonly progress: (attempt: Attempt, progress: Uint8Array) => Promise<void>;
}

interface Given {
  readonly attempt: Attempt;
  /** Of its arguments. */
  readonly bytes: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly stopTimer: () => void;
}

/** Tasks that one worker may take at a time. */
const MAX_CREDIT = 10_000;
/** Arguments that one worker is sent and has not answered for. Unit: bytes. */
const MAX_GIVEN_BYTES = 64 * 1024 * 1024;
/** Heartbeats that may be missed. */
const MISSED_HEARTBEATS = 3;
const NULL = payloadOf(null);

/** One external worker: what it is given, and what it says. Whatever it holds when its stream ends, or it falls silent, is handed back at once. */
export class WorkerSession {
  readonly #parts: WorkerSessionParts;
  readonly id: string;
  #tasks: ReadonlySet<string> = new Set();
  #credit = 0;
  #givenBytes = 0;
  #hasGreeted = false;
  #heardAtMs: number;
  /** By task id and fencing number. */
  readonly #given = new Map<string, Given>();
  /** Whose outcome is being written down. */
  readonly #settling = new Set<Attempt>();
  readonly #stopWatch: () => void;
  #isLeaving = false;
  #isOver = false;

  constructor(parts: WorkerSessionParts) {
    this.#parts = parts;
    this.id = parts.id;
    const { clock, heartbeatMs } = parts;
    this.#heardAtMs = clock.now();
    this.#stopWatch = clock.every(heartbeatMs, () => this.#watch());
  }

  get tasks(): ReadonlySet<string> {
    return this.#tasks;
  }

  /** Tasks that it would take now. */
  get credit(): number {
    return this.#isLeaving || this.#isOver || this.#givenBytes > MAX_GIVEN_BYTES ? 0 : this.#credit;
  }

  get holding(): number {
    return this.#given.size;
  }

  /** It said something. */
  heard(bytes: Uint8Array): void {
    if (this.#isOver) return;
    this.#heardAtMs = this.#parts.clock.now();
    try {
      this.#take(workRequest.decode(bytes));
    } catch (thrown) {
      const isMalformed = thrown instanceof WireError;
      this.end(isMalformed ? new Fault("INVALID_ARGUMENT", "that is no WorkRequest") : Fault.from(thrown));
    }
  }

  /** One of its credit is for a task that it is about to be given. */
  reserve(): void {
    this.#credit--;
  }

  /** It is not given that task after all. */
  unreserve(): void {
    this.#credit++;
    this.#parts.roomy(this);
  }

  /** Gives it a task that it has credit reserved for. */
  async begin(attempt: Attempt, args: Uint8Array, timeoutMs: number): Promise<Outcome> {
    if (this.#isLeaving || this.#isOver) return { kind: "returned", cause: "not-begun", delayMs: 0 };
    const { task, id, queue } = attempt;
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const stopTimer =
      timeoutMs === 0 ? () => undefined : this.#parts.clock.after(timeoutMs, () => this.#timedOut(attempt, timeoutMs));
    this.#given.set(keyOf(id, task.fence), { attempt, bytes: args.length, resolve, stopTimer });
    attempt.addEventListener("abort", () => this.#revoke(attempt, "this node does not hold the task any more"));
    this.#givenBytes += args.length;
    const { name, fence, attemptsMade, attempts, enqueuedAtMs } = task;
    const given = { id, name, queue, args, fence, attemptsMade, attempts, enqueuedAtMs, timeoutMs };
    this.#say({ task: given });
    return promise;
  }

  /** What it said of a task has been written down, or refused. */
  settled(attempt: Attempt, fault: Fault | undefined): void {
    if (this.#settling.delete(attempt)) this.#answer(attempt.id, attempt.task.fence, fault);
    this.#endIfDone();
  }

  /** No further task comes; it ends once nothing is held any more. */
  goAway(reason: string): void {
    if (this.#isLeaving || this.#isOver) return;
    this.#isLeaving = true;
    this.#say({ goAway: { reason } });
    this.#endIfDone();
  }

  /** The stream is over, or to be ended. What is held is handed back. */
  end(fault?: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatch();
    const cause = this.#isLeaving ? "handed-back" : "worker-died";
    for (const { resolve, stopTimer } of this.#given.values()) {
      stopTimer();
      resolve({ kind: "returned", cause, delayMs: 0 });
    }
    this.#given.clear();
    this.#parts.link.end(fault);
    this.#parts.closed(this);
  }

  #take({ hello, credit, progress, complete, fail, release }: WorkRequest): void {
    if (hello) {
      this.#greet(hello);
      return;
    }
    if (!this.#hasGreeted) throw new Fault("INVALID_ARGUMENT", "a worker says hello first");
    if (credit !== undefined) this.#addCredit(credit);
    else if (progress) this.#progress(progress);
    else if (complete) this.#complete(complete);
    else if (fail) this.#failed(fail);
    else if (release) this.#settle(release, { kind: "returned", cause: "released", delayMs: 0 });
  }

  #greet({ tasks, credit }: WorkerHello): void {
    if (this.#hasGreeted) throw new Fault("INVALID_ARGUMENT", "a worker says hello once");
    if (tasks.length === 0) throw new Fault("INVALID_ARGUMENT", "a worker names at least one task that it works");
    const { register, opened, nodeName, heartbeatMs } = this.#parts;
    this.#hasGreeted = true;
    register(tasks).then(
      () => {
        if (this.#isOver) return;
        this.#tasks = new Set(tasks.map(({ name }) => name));
        this.#say({ welcome: { workerId: this.id, node: nodeName(), heartbeatMs } });
        opened(this);
        this.#addCredit(credit);
      },
      (thrown) => this.end(Fault.from(thrown)),
    );
  }

  #addCredit(credit: number): void {
    this.#credit += credit;
    if (this.#credit > MAX_CREDIT) {
      throw new Fault("INVALID_ARGUMENT", `a worker takes ${MAX_CREDIT} tasks at a time at most`);
    }
    if (this.#tasks.size > 0) this.#parts.roomy(this);
  }

  #progress({ id, fence, payload = NULL }: TaskOutcome): void {
    const given = this.#given.get(keyOf(id, fence));
    if (!given) {
      this.#answer(id, fence, notHeld(id));
      return;
    }
    const problem = this.#problemOf(payload);
    if (problem) this.#answer(id, fence, problem);
    else this.#parts.progress(given.attempt, payload).catch((thrown) => this.#answer(id, fence, Fault.from(thrown)));
  }

  #complete({ id, fence, payload = NULL }: TaskOutcome): void {
    const problem = this.#problemOf(payload);
    if (!problem) this.#settle({ id, fence }, { kind: "completed", result: payload });
    else this.#settle({ id, fence }, { kind: "failed", error: problem.message, final: true });
  }

  #failed({ id, fence, error, final }: TaskFailed): void {
    this.#settle({ id, fence }, { kind: "failed", error: error || "it failed without saying why", final });
  }

  #problemOf(payload: Uint8Array): Fault | undefined {
    const { maxResultBytes } = this.#parts;
    if (payload.length > maxResultBytes) {
      const text = `it takes ${payload.length} bytes, more than maxResultBytes (${maxResultBytes})`;
      return new Fault("RESOURCE_EXHAUSTED", text);
    }
    try {
      checkPayload(payload);
      return undefined;
    } catch (thrown) {
      return Fault.from(thrown);
    }
  }

  #settle({ id, fence }: { readonly id: string; readonly fence: number }, outcome: Outcome): void {
    const given = this.#forget(id, fence);
    if (!given) {
      this.#answer(id, fence, notHeld(id));
      return;
    }
    this.#settling.add(given.attempt);
    given.resolve(outcome);
  }

  #timedOut(attempt: Attempt, timeoutMs: number): void {
    const given = this.#revoke(attempt, `it took longer than ${timeoutMs} ms`);
    given?.resolve({ kind: "failed", error: `it took longer than ${timeoutMs} ms`, final: false });
  }

  /** Undefined: it was not held any more. */
  #revoke({ id, task: { fence } }: Attempt, reason: string): Given | undefined {
    const given = this.#forget(id, fence);
    if (!given) return undefined;
    this.#say({ cancel: { id, fence, reason } });
    // Whoever does not want that settles it before.
    queueMicrotask(() => given.resolve({ kind: "returned", cause: "handed-back", delayMs: 0 }));
    return given;
  }

  #forget(id: string, fence: number): Given | undefined {
    const key = keyOf(id, fence);
    const given = this.#given.get(key);
    if (!given) return undefined;
    this.#given.delete(key);
    this.#givenBytes -= given.bytes;
    given.stopTimer();
    return given;
  }

  #answer(id: string, fence: number, fault: Fault | undefined): void {
    this.#say({ settled: { id, fence, code: fault?.code ?? "", error: fault?.message ?? "" } });
  }

  #say(event: Partial<WorkResponse>): void {
    if (!this.#isOver) this.#parts.link.send(workEvent(workResponse, event));
  }

  #endIfDone(): void {
    if (this.#isLeaving && this.#given.size === 0 && this.#settling.size === 0) this.end();
  }

  #watch(): void {
    const { clock, heartbeatMs } = this.#parts;
    const silentMs = clock.now() - this.#heardAtMs;
    if (silentMs <= MISSED_HEARTBEATS * heartbeatMs) return;
    this.end(new Fault("DEADLINE_EXCEEDED", `nothing was heard of the worker for ${Math.round(silentMs)} ms`));
  }
}

function keyOf(id: string, fence: number): string {
  return `${fence} ${id}`;
}

function notHeld(id: string): Fault {
  return new Fault("TASK_NOT_HELD", `this worker does not hold task ${id.slice(0, 256)} under that fencing number`);
}
