import { type CallContext, NEVER_ABORTED } from "../base/call-context.ts";
import { coalesce } from "../base/coalesce.ts";
import { deadlineIn } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import type { FaultPoints } from "./fault-points.ts";
import { askEach, otherShards } from "./library-peers.ts";
import type { LibraryRecords } from "./library-records.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import type { LibraryShelf } from "./library-shelf.ts";
import { encodeLibraryVersion, headOf, isNewer, type LibraryHead, type LibraryVersion } from "./library-version.ts";
import type { PeerShard, Shards } from "./shards.ts";
import {
  decodeSharedLibraries,
  decodeShareRequest,
  encodeSharedLibraries,
  encodeShareRequest,
  type SharedLibraries,
} from "./share-codec.ts";

/** Longest that one peer has to hand out what it serves: one that hangs must not keep the others' libraries out. Unit: ms. */
const PEER_TIMEOUT_MS = 2000;
/** Versions go out in answers of about this size; one that is larger goes alone. Unit: bytes. */
const ANSWER_BYTES = 256 * 1024;

/** Told of what goes on without it, each time it is tried. */
export interface LevellingObserver {
  /** A library that the cluster serves does not load here. */
  refused(library: string, fault: Fault): void;
  /** The record is behind this coordinator and cannot be written. */
  notWrittenBack(library: string, fault: Fault): void;
}

export interface LibraryLevellingParts {
  readonly registry: LibraryRegistry;
  readonly shelf: LibraryShelf;
  readonly records: LibraryRecords;
  readonly shards: Shards;
  readonly observer: LevellingObserver;
  readonly faults: FaultPoints;
}

/** What this coordinator has heard of in one levelling, by name: nobody has to send it that again. */
type Known = Map<string, LibraryHead>;

/**
 * Brings this coordinator to the newest versions that the record and its peers have, and the record too. The record alone is
 * enough: every load is committed there. Without it the peers are enough if each that can be reached has answered and one of them has been
 * level itself; that condition keeps coordinators that all start without the record from telling one another that there are no libraries.
 */
export class LibraryLevelling {
  readonly #parts: LibraryLevellingParts;
  /** Stays true: what was level once was told of every load since, or is behind by what it could not be told, like the record. */
  #hasBeenLevel = false;

  constructor(parts: LibraryLevellingParts) {
    this.#parts = parts;
  }

  /**
   * Resolves once this coordinator is known to be level with what was committed before this call; rejects with UNAVAILABLE while that
   * cannot be known. Calls at the same time share a run.
   */
  readonly level: () => Promise<void> = coalesce(() => this.#level());

  /** A shareLibraries request of a peer: hands out what is newer here than there. */
  async shareWithPeer(body: Uint8Array): Promise<Uint8Array> {
    const known: Known = new Map(decodeRequest(decodeShareRequest, body).map((head) => [head.name, head]));
    const newer: LibraryVersion[] = [];
    let more = false;
    let bytes = 0;
    for (const version of this.#parts.registry.versions()) {
      if (!isNewer(headOf(version), known.get(version.name))) continue;
      bytes += encodeLibraryVersion(version).length;
      more = newer.length > 0 && bytes > ANSWER_BYTES;
      if (more) break;
      newer.push(version);
    }
    return encodeSharedLibraries({ newer, more, level: this.#hasBeenLevel });
  }

  async #level(): Promise<void> {
    const { records, registry, faults } = this.#parts;
    await faults.reached("level.before");
    const known: Known = new Map();
    for (const version of registry.versions()) known.set(version.name, headOf(version));
    const recorded = await records.list().catch(Fault.from);
    if (!(recorded instanceof Fault)) await this.#adopt(recorded, known);
    await faults.reached("level.recorded");
    const peersKnow = await this.#levelWithPeers(known);
    if (recorded instanceof Fault && !peersKnow) throw recorded;
    this.#hasBeenLevel = true;
    if (!(recorded instanceof Fault)) await this.#writeBack(recorded);
  }

  /** Whether every peer that can be reached has handed out its versions, and one of them has been level itself. */
  async #levelWithPeers(known: Known): Promise<boolean> {
    const { shards } = this.#parts;
    const reachable = otherShards(shards)?.filter(({ id }) => shards.peer(id)) ?? [];
    const answers = await askEach(shards, reachable, (peer) => this.#levelWithPeer(peer, known));
    return answers.every(({ answer }) => !(answer instanceof Fault)) && answers.some(({ answer }) => answer === true);
  }

  /** Whether the peer has been level itself. */
  async #levelWithPeer(peer: PeerShard, known: Known): Promise<boolean> {
    for (;;) {
      const context: CallContext = { deadline: deadlineIn(PEER_TIMEOUT_MS), signal: NEVER_ABORTED, depth: 0 };
      const shared = await peer.request("shareLibraries", encodeShareRequest(known.values()), context);
      const { newer, more, level }: SharedLibraries = decodeSharedLibraries(shared);
      const news = newer.filter((version) => isNewer(headOf(version), known.get(version.name)));
      await this.#adopt(newer, known);
      // A peer that promises more and has sent nothing new would be asked for ever.
      if (!more || news.length === 0) return level && !more;
    }
  }

  async #adopt(versions: readonly LibraryVersion[], known: Known): Promise<void> {
    for (const version of versions) {
      if (isNewer(headOf(version), known.get(version.name))) known.set(version.name, headOf(version));
      await this.#parts.shelf.adopt(version).catch((thrown: unknown) => {
        const fault = Fault.from(thrown);
        // One that does not load any more, under other limits for example, must not keep the others out.
        if (fault.code !== "LIBRARY_REFUSED") throw fault;
        this.#parts.observer.refused(version.name, fault);
      });
    }
  }

  /** The record may have gone with a Redis that lost its data. */
  async #writeBack(recorded: readonly LibraryVersion[]): Promise<void> {
    const { registry, observer } = this.#parts;
    const known = new Map(recorded.map((version) => [version.name, version]));
    for (const version of registry.versions()) {
      const record = known.get(version.name);
      if (!isNewer(headOf(version), record && headOf(record))) continue;
      await this.#writeBackOne(version, record?.revision ?? 0).catch((thrown: unknown) =>
        observer.notWrittenBack(version.name, Fault.from(thrown)),
      );
    }
  }

  async #writeBackOne(version: LibraryVersion, expectedRevision: number): Promise<void> {
    const { records, faults } = this.#parts;
    await faults.reached("write-back.before");
    await records.commit(version, expectedRevision);
    await faults.reached("write-back.written");
  }
}
