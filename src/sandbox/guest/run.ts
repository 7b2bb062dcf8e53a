import { ApiError } from "./api-error.ts";
import type { Host, Payload } from "./host.ts";
import { unpackResult } from "./payloads.ts";
import { defineProperty, freeze, PromiseOf, parseJson, whenSettled } from "./primordials.ts";

/** Remote calls and messages of one run that may wait for their answer. */
const MAX_WAITING = 1024;

/**
 * What a remote call or a message came back with, flat: the snapshot of a call of every shard as JSON, or null; then for each outcome whether it succeeded, and its payload
 * or what went wrong.
 */
type Outcomes = readonly (boolean | Payload | null)[];

/** What a remote call is for. */
export interface RemoteTarget {
  /** Of the remote function. */
  readonly name: string;
  /** Its own time; 0: it has what every remote call has. */
  readonly timeoutMs: number;
  /** Of a call of every shard: it is made anew where the topology changed meanwhile. */
  readonly rerunOnChange: boolean;
}

/** What clients are given to: the function of a run, or one piece of its background work. They are of no use once it has ended. */
export class Task {
  readonly run: Run;
  #hasEnded = false;

  constructor(run: Run) {
    this.run = run;
    run.tasks++;
  }

  assertGoesOn(): void {
    if (this.#hasEnded || this.run.isOver) throw new ApiError("the client was used after its function ended");
  }

  /** Idempotent. The last one ends the run. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (--this.run.tasks === 0) this.run.end();
  }
}

/** One run of a function, as the guest sees it. It is over once the function and all its background work have ended. */
export class Run {
  readonly id: number;
  readonly #host: Host;
  readonly #onOver: (runId: number) => void;
  isOver = false;
  /** How many have not ended. */
  tasks = 0;
  #callCount = 0;
  #waiting = 0;
  /** By call id. */
  readonly #calls: Record<number, (outcomes: Outcomes) => void> = { __proto__: null } as never;

  constructor(id: number, host: Host, onOver: (runId: number) => void) {
    this.id = id;
    this.#host = host;
    this.#onOver = onOver;
  }

  /** Also where the host ended it, whatever tasks there are. */
  end(): void {
    this.isOver = true;
    this.#onOver(this.id);
  }

  /** Calls `body` with a task of its own, in a turn of the host's; resolves as it does. The run goes on until then. */
  background(body: (task: Task) => unknown): Promise<unknown> {
    const callId = ++this.#callCount;
    if (!this.#host.background(this.id, callId)) {
      throw new ApiError("the library has too much background work; let some of it end first", "RESOURCE_EXHAUSTED");
    }
    const task = new Task(this);
    const ended = () => {
      task.end();
      this.#host.backgroundEnded(this.id);
    };
    const work = whenSettled(this.#answerTo(callId), () => body(task));
    // Passed on rather than looked at: a failure that the library does not look at either must show as unhandled.
    return whenSettled(
      work,
      (value) => {
        ended();
        return value;
      },
      (thrown) => {
        ended();
        throw thrown;
      },
    );
  }

  /** Calls a remote function, on the shard of `key` or (null) on every one; resolves with the outcomes. */
  remoteCall(
    { name, timeoutMs, rerunOnChange }: RemoteTarget,
    key: string | ArrayBuffer | null,
    payloads: Payload[],
  ): Promise<Outcomes> {
    this.#assertMayWait();
    const callId = ++this.#callCount;
    return this.#answerTo(callId, () =>
      this.#host.remoteCall(this.id, callId, name, timeoutMs, rerunOnChange, key, ...payloads),
    );
  }

  /** Publishes a message; resolves with the one outcome. */
  publish(messageType: string, payload: Payload): Promise<Outcomes> {
    this.#assertMayWait();
    const callId = ++this.#callCount;
    return this.#answerTo(callId, () => this.#host.publish(this.id, callId, messageType, payload));
  }

  #assertMayWait(): void {
    if (this.#waiting < MAX_WAITING) return;
    const text = `one run may wait for ${MAX_WAITING} remote calls and messages at most`;
    throw new ApiError(text, "RESOURCE_EXHAUSTED");
  }

  #answerTo(callId: number, ask?: () => void): Promise<Outcomes> {
    this.#waiting++;
    return new PromiseOf((resolve) => {
      this.#calls[callId] = resolve;
      ask?.();
    });
  }

  answer(callId: number, outcomes: Outcomes): void {
    const resolve = this.#calls[callId];
    if (!resolve) return;
    delete this.#calls[callId];
    this.#waiting--;
    resolve(outcomes);
  }
}

/** The value of a call by key; throws what went wrong as text, in which libraries look for words. */
export function singleValue(outcomes: Outcomes): unknown {
  const [, isOk, payload] = outcomes as readonly [null, boolean, Payload];
  if (!isOk) throw payload;
  try {
    return unpackResult(payload);
  } catch (thrown) {
    throw String(thrown);
  }
}

/** How many subscribers a message reached; throws what went wrong. */
export function subscribersReached(outcomes: Outcomes): unknown {
  const [, isOk, payload] = outcomes as readonly [null, boolean, Payload];
  if (!isOk) throw new ApiError(payload as string);
  return unpackResult(payload);
}

/** `[[results...], [errors...]]` in shard order. Its `snapshot`, which is no part of it as a value, says which shards those were. */
export function resultsAndErrors(outcomes: Outcomes): [unknown[], unknown[]] {
  const results: unknown[] = [];
  const errors: unknown[] = [];
  for (let i = 1; i + 1 < outcomes.length; i += 2) {
    const payload = outcomes[i + 1] as Payload;
    if (outcomes[i] !== true) {
      errors[errors.length] = payload;
      continue;
    }
    try {
      results[results.length] = unpackResult(payload);
    } catch (thrown) {
      errors[errors.length] = String(thrown);
    }
  }
  const reply: [unknown[], unknown[]] = [results, errors];
  const [snapshot] = outcomes as readonly [string | null];
  if (snapshot !== null) defineProperty(reply, "snapshot", { value: snapshotFrom(snapshot) });
  return reply;
}

function snapshotFrom(json: string): unknown {
  const snapshot = parseJson(json);
  freeze(snapshot.masters);
  return freeze(snapshot);
}
