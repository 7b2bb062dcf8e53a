import { Fault } from "../base/fault.ts";
import { MAX_NODE_TYPES } from "./message-types.ts";
import type { SyncInterestRequest } from "./pubsub-codec.ts";

/** One process of a peer that has a link to us. */
interface PeerRun {
  /** Its links to us. More than one while a link is being replaced. */
  links: number;
  types: Set<string>;
  /** Whether `types` began with all that it had. */
  isComplete: boolean;
  /** All that it has, as far as it has told: it says so anew with each link, and until the end of it `types` hold as well, so that nothing is missed meanwhile. */
  coming: Set<string> | undefined;
  /** Sequence of the newest change. */
  syncSequence: number;
  /** Sequence of the newest message from it. */
  messageSequence: number;
}

/**
 * Which types each peer has subscribers for, and how far its messages have come. By run, not by node: two coordinators beside one Redis are one node, and what a process has said ends with
 * it. It is kept as long as the process has a link to us: it says all of it anew when it opens another.
 *
 * A link may be replaced while the one before still carries something, or is lost with something on its way that arrives all the same. So changes and messages are numbered by the
 * process that sends them, and what comes behind a later one is not applied and not delivered: order per publisher and at most once hold across links, at the price of a message that is missed.
 */
export class PeerInterest {
  readonly #runs = new Map<string, PeerRun>();

  /** Types of all peers, each counted for each of them. */
  get typeCount(): number {
    let count = 0;
    for (const { types } of this.#runs.values()) count += types.size;
    return count;
  }

  /** A process has opened a link to us. */
  linked(runId: string): void {
    const run = this.#runs.get(runId);
    if (run) run.links++;
    else
      this.#runs.set(runId, {
        links: 1,
        types: new Set(),
        isComplete: false,
        coming: undefined,
        syncSequence: 0,
        messageSequence: 0,
      });
  }

  /** A link that it had opened has ended. */
  unlinked(runId: string): void {
    const run = this.#runs.get(runId);
    if (run && --run.links === 0) this.#runs.delete(runId);
  }

  knows(runId: string): boolean {
    return this.#runs.has(runId);
  }

  wants(runId: string, messageType: string): boolean {
    const run = this.#runs.get(runId);
    return run !== undefined && (run.types.has(messageType) || run.coming?.has(messageType) === true);
  }

  /** Throws INVALID_ARGUMENT or RESOURCE_EXHAUSTED where the peer must say all of it anew. */
  apply({ complete, added, removed, runId, sequence, more }: SyncInterestRequest): void {
    const run = this.#run(runId);
    if (sequence <= run.syncSequence) throw new Fault("INVALID_ARGUMENT", `change ${sequence} comes too late`);
    run.syncSequence = sequence;
    if (complete) run.coming = new Set();
    else if (!run.isComplete && !run.coming) {
      throw new Fault("INVALID_ARGUMENT", "changes must begin with a complete set");
    }
    const types = run.coming ?? run.types;
    for (const messageType of removed) types.delete(messageType);
    for (const messageType of added) {
      if (types.size >= MAX_NODE_TYPES && !types.has(messageType)) {
        run.types.clear();
        run.isComplete = false;
        run.coming = undefined;
        throw new Fault("RESOURCE_EXHAUSTED", `a node has subscribers for ${MAX_NODE_TYPES} message types at most`);
      }
      types.add(messageType);
    }
    if (more) return;
    run.types = types;
    run.isComplete = true;
    run.coming = undefined;
  }

  /** Notes a message. False: a later one of the same process was here before it, or this one itself. */
  isInOrder(runId: string, sequence: number): boolean {
    const run = this.#run(runId);
    if (sequence <= run.messageSequence) return false;
    run.messageSequence = sequence;
    return true;
  }

  #run(runId: string): PeerRun {
    const run = this.#runs.get(runId);
    if (!run) throw new Fault("INVALID_ARGUMENT", "no link from this process is open");
    return run;
  }
}
