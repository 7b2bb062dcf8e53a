import type { CallContext } from "../base/call-context.ts";
import { type Deadline, deadlineIn } from "../base/deadline.ts";
import type { Fault } from "../base/fault.ts";
import { Timer } from "../base/timer-wheel.ts";
import type { RequestEnvelope } from "./envelope.ts";

/** One request that a handler works on, and the context it gets. */
export class IncomingRequest extends Timer implements CallContext {
  readonly id: number;
  readonly method: number;
  readonly bytes: number;
  readonly depth: number;
  readonly deadline: Deadline;
  readonly #expired: (request: IncomingRequest) => void;
  #controller: AbortController | undefined;
  #abortedBy: Fault | undefined;

  constructor(
    { id, method, body, depth, timeoutMs }: RequestEnvelope,
    nowMs: number,
    expired: (request: IncomingRequest) => void,
  ) {
    super();
    this.id = id;
    this.method = method;
    this.bytes = body.length;
    this.depth = depth;
    this.deadline = deadlineIn(timeoutMs, nowMs);
    this.#expired = expired;
  }

  /** Made when it is first asked for: most handlers finish without. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortedBy !== undefined) this.#controller.abort(this.#abortedBy);
    }
    return this.#controller.signal;
  }

  abort(fault: Fault): void {
    this.#abortedBy = fault;
    this.#controller?.abort(fault);
  }

  override expire(): void {
    this.#expired(this);
  }
}
