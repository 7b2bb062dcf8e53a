import { ApiError } from "./api-error.ts";
import type { Host, Payload } from "./host.ts";
import { unpackResult } from "./payloads.ts";
import { PromiseOf } from "./primordials.ts";

/** Remote calls of one run that may wait for their answer. */
const MAX_REMOTE_CALLS = 1024;

/** One outcome of a remote call, flat: whether it succeeded, then its payload or what went wrong. */
type Outcomes = readonly (boolean | Payload)[];

/** One run of a function, as the guest sees it. It is over once its result is known; its clients are of no use then. */
export class Run {
  readonly id: number;
  readonly #host: Host;
  isOver = false;
  #callCount = 0;
  #waiting = 0;
  /** By call id. */
  readonly #calls: Record<number, (outcomes: Outcomes) => void> = { __proto__: null } as never;

  constructor(id: number, host: Host) {
    this.id = id;
    this.#host = host;
  }

  assertGoesOn(): void {
    if (this.isOver) throw new ApiError("the client was used after its function ended");
  }

  /** Calls a remote function, on the shard of `key` or (null) on every one; resolves with the outcomes. */
  remoteCall(remoteFunction: string, key: string | ArrayBuffer | null, payloads: Payload[]): Promise<Outcomes> {
    this.assertGoesOn();
    if (this.#waiting >= MAX_REMOTE_CALLS) {
      throw new ApiError(`one run may wait for ${MAX_REMOTE_CALLS} remote calls at most`, "RESOURCE_EXHAUSTED");
    }
    const callId = ++this.#callCount;
    this.#waiting++;
    return new PromiseOf((resolve) => {
      this.#calls[callId] = resolve;
      this.#host.remoteCall(this.id, callId, remoteFunction, key, ...payloads);
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
  const [isOk, payload] = outcomes as readonly [boolean, Payload];
  if (!isOk) throw payload;
  try {
    return unpackResult(payload);
  } catch (thrown) {
    throw String(thrown);
  }
}

/** `[[results...], [errors...]]` in shard order. */
export function resultsAndErrors(outcomes: Outcomes): [unknown[], unknown[]] {
  const results: unknown[] = [];
  const errors: unknown[] = [];
  for (let i = 0; i + 1 < outcomes.length; i += 2) {
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
  return [results, errors];
}
