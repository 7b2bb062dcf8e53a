import { backoffMs } from "../base/backoff.ts";
import type { CallContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { FaultPoints } from "./fault-points.ts";
import type { LibraryRecords } from "./library-records.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import { encodeLibraryVersion, headOf, isNewer, type LibraryVersion, previousOf } from "./library-version.ts";
import type { LibrarySource } from "./sandbox-port.ts";

/** Whoever lost a turn waits before the next, so that many that race for one library do not only take it from one another. */
const NEXT_TURN = { initialMs: 2, maxMs: 100 };
/** Left of the caller's time when no more turns are taken, so that it still learns that nothing was changed. Unit: ms. */
const ANSWER_MS = 200;

export interface LibraryCommitParts {
  readonly registry: LibraryRegistry;
  readonly records: LibraryRecords;
  /** What one version may take on its way to a peer, the one before it included; a larger one cannot be rolled back. */
  readonly maxVersionBytes: number;
  readonly faults: FaultPoints;
}

/** What replaces the present version (undefined: nothing does); throws where it must stay. */
export type NextSource = (current: LibraryVersion | undefined) => LibrarySource | undefined;

/**
 * The commit point of a load: one compare-and-set of a library's record. Those that race for one library take turns by it until
 * each has had its own, so that many loads at once all succeed, one after the other.
 */
export class LibraryCommit {
  readonly #parts: LibraryCommitParts;

  constructor(parts: LibraryCommitParts) {
    this.#parts = parts;
  }

  /**
   * Resolves with the version that is the record. Rejects with what `next` throws, with CANCELLED or UNAVAILABLE (nothing was
   * changed), or with INDETERMINATE.
   */
  async commit(name: string, seenByPeers: number, next: NextSource, context: CallContext): Promise<LibraryVersion> {
    await this.#parts.faults.reached("commit.before");
    let doubt: Fault | undefined;
    try {
      for (let lost = 0; ; lost++) {
        if (context.signal.aborted) throw new Fault("CANCELLED", "the caller is gone; nothing was changed");
        const { recorded, current } = await this.#present(name);
        const source = next(current);
        const revision = Math.max(current?.revision ?? 0, seenByPeers) + 1;
        const version = this.#withPrevious({ name, revision, source }, current);
        const written = await this.#write(version, recorded?.revision ?? 0);
        if (written === true) return version;
        if (written instanceof Fault) doubt = written;
        const waitMs = backoffMs(lost, NEXT_TURN);
        if (remainingMs(context.deadline) - waitMs < ANSWER_MS) throw changedMeanwhile(name);
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    } catch (thrown) {
      throw doubt ?? thrown;
    }
  }

  /** The newest version that the record and this coordinator know, and the record's. */
  async present(name: string): Promise<LibraryVersion | undefined> {
    return (await this.#present(name)).current;
  }

  async #present(name: string): Promise<Record<"recorded" | "current", LibraryVersion | undefined>> {
    const recorded = await this.#parts.records.get(name);
    const known = this.#parts.registry.newest(name);
    const isAhead = known && isNewer(headOf(known), recorded && headOf(recorded));
    return { recorded, current: isAhead ? known : recorded };
  }

  #withPrevious(version: LibraryVersion, current: LibraryVersion | undefined): LibraryVersion {
    const whole = { ...version, previous: version.source && previousOf(version.source, current) };
    return encodeLibraryVersion(whole).length <= this.#parts.maxVersionBytes ? whole : version;
  }

  /**
   * Whether the version is the record. An answer that got lost is read back before anyone is told that it is unknown. A Fault: it was not
   * there, but Redis may still run what a lost connection brought, unless a later write comes first.
   */
  async #write(version: LibraryVersion, expectedRevision: number): Promise<boolean | Fault> {
    const { records, faults } = this.#parts;
    try {
      const isWritten = await records.commit(version, expectedRevision);
      if (isWritten) await faults.reached("commit.written");
      return isWritten;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "INDETERMINATE") throw fault;
      const recorded = await records.get(version.name).catch(() => {
        throw fault;
      });
      const revision = recorded?.revision ?? 0;
      // Replaced by somebody who may have found this version there, or not.
      if (revision > version.revision) throw fault;
      return (revision === version.revision && recorded?.source?.hash === version.source?.hash) || fault;
    }
  }
}

export function changedMeanwhile(name: string): Fault {
  const text = `library ${name} is being changed by others at the same time; nothing was changed here, look at it and try again`;
  return new Fault("UNAVAILABLE", text);
}
