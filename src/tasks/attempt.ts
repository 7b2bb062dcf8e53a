import { AbortListeners } from "../base/abort-listeners.ts";
import type { AbortListener, CallSignal } from "../base/call-context.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { payloadOf } from "../base/json-payload.ts";
import { queueOf, taskId } from "./task-id.ts";
import type { StoredTask, TaskPartition } from "./task-store.ts";

/** What came of an attempt. */
export type Outcome =
  | { readonly kind: "completed"; readonly result: Uint8Array }
  /** `final`: no further attempt would help. */
  | { readonly kind: "failed"; readonly error: string; readonly final: boolean }
  /** It did not come to an end, and is no failure of the task: it is worked again, by whoever takes it, after a while. */
  | { readonly kind: "returned"; readonly cause: ReturnCause; readonly delayMs: number };

/** `released`: by a worker that has been given it, and has not begun. `not-begun`: nobody has been given it, nor seen its fencing number. */
export type ReturnCause = "worker-died" | "sandbox-died" | "handed-back" | "released" | "not-begun";

/** What a fault of a library's run says about this node, and nothing about the task. */
const RETURNED: Partial<Record<FaultCode, Outcome>> = {
  UNAVAILABLE: { kind: "returned", cause: "handed-back", delayMs: 200 },
  UNKNOWN_TASK: { kind: "returned", cause: "not-begun", delayMs: 1000 },
  INDETERMINATE: { kind: "returned", cause: "sandbox-died", delayMs: 0 },
};

/** What the fault means that ended an attempt. `isCalledOff`: this node was not to go on with it. */
export function outcomeOf({ code, message }: Fault, isCalledOff: boolean): Outcome {
  if (code === "CANCELLED" && isCalledOff) return { kind: "returned", cause: "handed-back", delayMs: 0 };
  return RETURNED[code] ?? { kind: "failed", error: message, final: code === "REFUSED_BY_HOOK" };
}

/** One task that this node holds, and works once. It is the signal of what is done for it, too, which aborts when this node does not hold the task any more, or is to hand it back. */
export class Attempt implements CallSignal {
  readonly partition: TaskPartition;
  readonly task: StoredTask;
  /** Of the hold. */
  readonly token: string;
  readonly id: string;
  readonly #listeners = new AbortListeners();
  #reason: Fault | undefined;

  constructor(partition: TaskPartition, task: StoredTask, token: string) {
    this.partition = partition;
    this.task = task;
    this.token = token;
    this.id = taskId(partition.id, task.key);
  }

  get queue(): string {
    return queueOf(this.partition.id);
  }

  get aborted(): boolean {
    return this.#reason !== undefined;
  }

  get reason(): Fault | undefined {
    return this.#reason;
  }

  addEventListener(_type: "abort", listener: AbortListener): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: AbortListener): void {
    this.#listeners.remove(listener);
  }

  /** Whatever is done about it from now on is to no purpose. */
  abort(): void {
    if (this.#reason !== undefined) return;
    this.#reason = new Fault("CANCELLED", "this node does not hold the task any more, or is to hand it back");
    this.#listeners.tell();
  }

  /** What handlers are told of it: an encoded payload. */
  info(): Uint8Array {
    const { name, fence, attemptsMade, attempts, enqueuedAtMs } = this.task;
    const { id, queue } = this;
    return payloadOf({ id, name, queue, fence, attemptsMade, attempts, enqueuedAt: enqueuedAtMs });
  }
}
