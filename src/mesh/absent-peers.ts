import type { CallContext } from "../base/call-context.ts";
import { type Deadline, deadlineIn, earlier } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { TimerWheel } from "../base/timer-wheel.ts";
import { LinkWaiter } from "./link-waiter.ts";
import type { PeerAddress } from "./mesh-parts.ts";
import type { Peer } from "./method.ts";

export interface AbsentPeersParts {
  readonly wheel: TimerWheel;
  /** How long a peer that has said that it goes is waited for. Unit: ms. */
  readonly returnMs: number;
  /** Requests that may wait for one peer. */
  readonly maxWaiting: number;
}

interface Absence {
  /** What the peer said. */
  readonly reason: string;
  /** When it is waited for no longer. */
  readonly endsMs: Deadline;
  readonly waiters: Set<LinkWaiter>;
}

/**
 * Peers that have said that they go, and have not come back. A coordinator that is restarted comes back within seconds, so requests wait for it; of one that was lost nobody knows
 * whether it will, so nobody waits.
 */
export class AbsentPeers {
  readonly #parts: AbsentPeersParts;
  /** By node id. */
  readonly #absences = new Map<string, Absence>();

  constructor(parts: AbsentPeersParts) {
    this.#parts = parts;
  }

  /** Whether it has said that it goes, has not come back, and still may. */
  isExpected(nodeId: string): boolean {
    const absence = this.#absences.get(nodeId);
    return absence !== undefined && absence.endsMs > this.#parts.wheel.now();
  }

  left(nodeId: string, reason: string): void {
    const { wheel, returnMs } = this.#parts;
    const waiters = this.#absences.get(nodeId)?.waiters ?? new Set();
    this.#absences.set(nodeId, { reason, endsMs: deadlineIn(returnMs, wheel.now()), waiters });
  }

  /** It serves again. */
  returned(nodeId: string, peer: Peer): void {
    this.#end(nodeId, (waiter) => waiter.resolve(peer));
  }

  /** It is no peer any more. */
  forget(nodeId: string, reason: string): void {
    this.#end(nodeId, (waiter) =>
      waiter.reject(new Fault("UNAVAILABLE", `the coordinator is waited for no longer: ${reason}`)),
    );
  }

  /** Nobody is waited for any more. */
  close(reason: string): void {
    for (const nodeId of [...this.#absences.keys()]) this.forget(nodeId, reason);
  }

  /**
   * Resolves once it serves again. Rejects with UNAVAILABLE where it is not back before the deadline, or has been away for too long, and at once where it has not said that it goes;
   * with CANCELLED where the caller gives up, and RESOURCE_EXHAUSTED where too many wait.
   */
  async whenBack({ nodeId, address }: PeerAddress, { deadline, signal }: CallContext): Promise<Peer> {
    const { wheel, maxWaiting } = this.#parts;
    const absence = this.#absences.get(nodeId);
    if (!absence || !this.isExpected(nodeId)) {
      throw new Fault("UNAVAILABLE", `there is no link to the coordinator at ${address}`);
    }
    const { reason, endsMs, waiters } = absence;
    if (signal.aborted) throw new Fault("CANCELLED", "the caller cancelled");
    if (waiters.size >= maxWaiting) {
      const text = `${maxWaiting} requests wait already for the coordinator at ${address} to be back; try again later`;
      throw new Fault("RESOURCE_EXHAUSTED", text);
    }
    const waiter: LinkWaiter = new LinkWaiter(() => {
      const fault = signal.aborted
        ? new Fault("CANCELLED", "the caller cancelled")
        : new Fault("UNAVAILABLE", `the coordinator at ${address} has left (${reason}), and is not back yet`);
      waiter.reject(fault);
    });
    waiters.add(waiter);
    wheel.arm(waiter, earlier(deadline, endsMs));
    signal.addEventListener("abort", waiter);
    try {
      return await waiter.promise;
    } finally {
      waiters.delete(waiter);
      wheel.disarm(waiter);
      signal.removeEventListener("abort", waiter);
    }
  }

  #end(nodeId: string, settle: (waiter: LinkWaiter) => void): void {
    const absence = this.#absences.get(nodeId);
    this.#absences.delete(nodeId);
    for (const waiter of absence?.waiters ?? []) settle(waiter);
  }
}
