import { formatAddress } from "../base/address.ts";
import { type CallContext, NEVER_ABORTED, nestedContext } from "../base/call-context.ts";
import { deadlineIn, remainingMs } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import type { Shard } from "../topology/topology.ts";
import type { FaultPoints } from "./fault-points.ts";
import { changedMeanwhile, type LibraryCommit, type NextSource } from "./library-commit.ts";
import { parseLibraryHeader } from "./library-header.ts";
import { askEach, otherMasters, otherShards, ownShard, servesCalls } from "./library-peers.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import type { LibraryShelf } from "./library-shelf.ts";
import { decodeLibraryVersion, encodeLibraryVersion, type LibraryVersion, librarySource } from "./library-version.ts";
import type { LibrarySource } from "./sandbox-port.ts";
import type { Shards } from "./shards.ts";

/** Longest that a load waits for shards to adopt it: they have compiled it already. Unit: ms. */
const ADOPT_TIMEOUT_MS = 5000;
/** Left of the caller's time when it is told which shards have not adopted yet, or that one has not come back. Unit: ms. */
const ANSWER_MS = 200;

export interface LibraryLifecycleParts {
  readonly registry: LibraryRegistry;
  readonly shelf: LibraryShelf;
  readonly commit: LibraryCommit;
  readonly shards: Shards;
  readonly faults: FaultPoints;
}

export interface LoadOptions {
  /** JSON object for redis.config; "" for none. */
  readonly config: string;
  readonly replace: boolean;
  /** Load although shards cannot be reached. */
  readonly allowMissing: boolean;
}

export interface Committed {
  readonly version: LibraryVersion;
  /** Addresses of shards whose coordinator has not adopted the version yet; it will, from the record. */
  readonly pending: readonly string[];
}

export interface RolledBack extends Committed {
  /** The revision whose text and configuration are loaded again. */
  readonly restoredRevision: number;
}

/**
 * Loads, rolls back and deletes libraries on the whole cluster: every coordinator prepares, one compare-and-set in Redis commits, every
 * coordinator adopts. Before the commit nothing has changed anywhere; after it there is only forward.
 */
export class LibraryLifecycle {
  readonly #parts: LibraryLifecycleParts;

  constructor(parts: LibraryLifecycleParts) {
    this.#parts = parts;
  }

  /** Rejects with LIBRARY_REFUSED, LIBRARY_EXISTS, UNAVAILABLE (nothing changed) or INDETERMINATE. */
  async load(text: string, options: LoadOptions, context: CallContext): Promise<Committed> {
    const source = librarySource(parseLibraryHeader(text).name, text, checkedConfig(options.config));
    const next: NextSource = (current) => {
      if (!options.replace) refuseExisting(current);
      return source;
    };
    // At once, and again at the commit.
    next(await this.#parts.commit.present(source.name));
    const seen = await this.#prepareEverywhere(source, options.allowMissing, context);
    const version = await this.#parts.commit.commit(source.name, seen, next, context);
    return this.#adoptEverywhere(version, context);
  }

  /**
   * Loads what was loaded before the present version, as a new revision; that one can be rolled back in turn. Rejects with
   * UNKNOWN_LIBRARY, NO_PREVIOUS_REVISION, LIBRARY_REFUSED, UNAVAILABLE (nothing changed) or INDETERMINATE.
   */
  async rollback(name: string, allowMissing: boolean, context: CallContext): Promise<RolledBack> {
    const { revision, previous } = loadedOf(name, await this.#parts.commit.present(name));
    if (!previous) throw new Fault("NO_PREVIOUS_REVISION", `Library ${name} has no revision before this one`);
    const { source } = previous;
    const seen = await this.#prepareEverywhere(source, allowMissing, context);
    const next: NextSource = (current) => {
      // Somebody else's load came between: what is to be rolled back is no longer what the caller saw.
      if (current?.revision !== revision || seen > revision) throw changedMeanwhile(name);
      return source;
    };
    const version = await this.#parts.commit.commit(name, seen, next, context);
    return { ...(await this.#adoptEverywhere(version, context)), restoredRevision: previous.revision };
  }

  /** Rejects with UNKNOWN_LIBRARY, UNAVAILABLE (nothing changed) or INDETERMINATE. */
  async delete(name: string, context: CallContext): Promise<Committed> {
    this.#otherShards();
    const next: NextSource = (current) => {
      loadedOf(name, current);
      return undefined;
    };
    const version = await this.#parts.commit.commit(name, 0, next, context);
    return this.#adoptEverywhere(version, context);
  }

  /** A prepareLibrary request of a peer. */
  async prepareFromPeer(body: Uint8Array, { deadline }: CallContext): Promise<Uint8Array> {
    const { source, name } = decodeRequest(embeddedVersion, body);
    if (!source) throw new Fault("INVALID_ARGUMENT", "a deletion needs no preparation");
    await this.#parts.shelf.prepare(source, deadline);
    return new WireWriter().uint(1, this.#parts.registry.newest(name)?.revision ?? 0).finish();
  }

  /** An adoptLibrary request of a peer. */
  async adoptFromPeer(body: Uint8Array): Promise<Uint8Array> {
    const version = decodeRequest(embeddedVersion, body);
    await this.#parts.shelf.adopt(version);
    const { registry, shards } = this.#parts;
    // Who does not answer for the shard, any more or yet, cannot say that it is served there: the load is pending on it.
    const served = shards.isActive() ? registry.newest(version.name)?.revision : undefined;
    return new WireWriter().uint(1, served ?? 0).finish();
  }

  /** Resolves with the highest revision that any peer has seen. */
  async #prepareEverywhere(source: LibrarySource, allowMissing: boolean, context: CallContext): Promise<number> {
    // Here first: what does not load is mostly refused without troubling anyone.
    await this.#parts.shelf.prepare(source, context.deadline);
    await this.#parts.faults.reached("prepare.peers");
    const body = embed({ name: source.name, revision: 0, source });
    const answers = await askEach(
      this.#parts.shards,
      this.#otherShards(),
      (peer) => peer.request("prepareLibrary", body, context),
      allowMissing ? undefined : nestedContext(context, remainingMs(context.deadline) - ANSWER_MS),
    );
    let seen = 0;
    for (const { shard, answer } of answers) {
      if (answer instanceof Fault) {
        if (answer.code === "LIBRARY_REFUSED") throw answer;
        if (allowMissing) continue;
        throw new Fault(
          "UNAVAILABLE",
          `shard ${formatAddress(shard.address)} cannot prepare the library: ${answer.message}; nothing was loaded (allow_missing loads it without that shard)`,
          { cause: answer },
        );
      }
      seen = Math.max(seen, revisionOf(answer));
    }
    return seen;
  }

  /**
   * From here there is only forward: a shard that does not adopt the version now is pending, whatever the reason, and takes it from the
   * record later. The caller may be gone meanwhile; the shards are told all the same.
   */
  async #adoptEverywhere(version: LibraryVersion, context: CallContext): Promise<Committed> {
    const { shards, shelf, faults } = this.#parts;
    await faults.reached("adopt.peers");
    const timeoutMs = Math.min(ADOPT_TIMEOUT_MS, Math.max(ANSWER_MS, remainingMs(context.deadline) - ANSWER_MS));
    const peersContext = { ...context, signal: NEVER_ABORTED, deadline: deadlineIn(timeoutMs) };
    const others = otherMasters(shards) ?? [];
    const body = embed(version);
    const [isAdoptedHere, answers] = await Promise.all([
      shelf.adopt(version).then(
        () => true,
        () => false,
      ),
      askEach(shards, others, (peer) => peer.request("adoptLibrary", body, peersContext)),
    ]);
    await faults.reached("load.answer");
    const missing = answers
      .filter(({ shard }) => servesCalls(shard))
      .filter(({ answer }) => answer instanceof Fault || revisionOf(answer) < version.revision);
    const pending = missing.map(({ shard }) => shard);
    const own = shards.isActive() ? ownShard(shards) : undefined;
    if (own && !isAdoptedHere) pending.push(own);
    return { version, pending: pending.map(({ address }) => formatAddress(address)) };
  }

  /** Before a commit: who does not know the other shards cannot ask them. */
  #otherShards(): readonly Shard[] {
    const others = otherShards(this.#parts.shards);
    if (!others) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return others;
  }
}

function loadedOf(name: string, current: LibraryVersion | undefined): LibraryVersion {
  if (!current?.source) throw new Fault("UNKNOWN_LIBRARY", `Unknown library ${name}`);
  return current;
}

function refuseExisting(current: LibraryVersion | undefined): void {
  if (current?.source) throw new Fault("LIBRARY_EXISTS", `Library ${current.name} already exists`);
}

/** The configuration as it was given, once it is known to be a JSON object. */
function checkedConfig(config: string): string {
  const text = config === "" ? "{}" : config;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return text;
  } catch {
    // Falls through to the one error for everything that is not a JSON object.
  }
  throw new Fault("INVALID_ARGUMENT", "the library's configuration is not a JSON object");
}

/** `PrepareLibraryRequest` and `AdoptLibraryRequest` both hold a version as field 1. */
function embed(version: LibraryVersion): Uint8Array {
  return new WireWriter().bytes(1, encodeLibraryVersion(version)).finish();
}

function embeddedVersion(body: Uint8Array): LibraryVersion {
  const reader = new WireReader(body);
  while (reader.next()) if (reader.field === 1) return decodeLibraryVersion(reader.bytes());
  throw new Fault("INVALID_ARGUMENT", "the request holds no library version");
}

/** `PrepareLibraryResponse` and `AdoptLibraryResponse` both hold a revision as field 1. */
function revisionOf(answer: Uint8Array): number {
  const reader = new WireReader(answer);
  while (reader.next()) if (reader.field === 1) return reader.uint();
  return 0;
}
