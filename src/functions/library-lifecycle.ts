import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import { decodeRequest } from "./decode-request.ts";
import { parseLibraryHeader } from "./library-header.ts";
import { askEach, otherMasters, otherShards, type PeerAnswer, servesCalls } from "./library-peers.ts";
import type { LibraryRecords } from "./library-records.ts";
import type { LibraryRegistry } from "./library-registry.ts";
import type { LibraryShelf } from "./library-shelf.ts";
import {
  decodeLibraryVersion,
  encodeLibraryVersion,
  headOf,
  isNewer,
  type LibraryVersion,
  librarySource,
  previousOf,
} from "./library-version.ts";
import type { LibrarySource } from "./sandbox-port.ts";
import type { PeerRequest, Shards } from "./shards.ts";

/** Loads that race for one library take turns by compare-and-set; one that loses this often says so. */
const COMMIT_ATTEMPTS = 8;

export interface LibraryLifecycleParts {
  readonly registry: LibraryRegistry;
  readonly shelf: LibraryShelf;
  readonly records: LibraryRecords;
  readonly shards: Shards;
  /** What one version may take on its way to a peer, the one before it included; a larger one cannot be rolled back. */
  readonly maxVersionBytes: number;
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
    const recorded = await this.#parts.records.get(source.name);
    if (!options.replace) refuseExisting(recorded);
    await this.#parts.shelf.prepare(source);
    const seen = await this.#prepareOnPeers(source, options.allowMissing, context);
    const version = await this.#commit(source.name, seen, (current) => {
      if (!options.replace) refuseExisting(current);
      return source;
    });
    return this.#adoptEverywhere(version, context);
  }

  /**
   * Loads what was loaded before the present version, as a new revision; that one can be rolled back in turn. Rejects with
   * UNKNOWN_LIBRARY, NO_PREVIOUS_REVISION, LIBRARY_REFUSED, UNAVAILABLE (nothing changed) or INDETERMINATE.
   */
  async rollback(name: string, allowMissing: boolean, context: CallContext): Promise<RolledBack> {
    const replaced = newestOf(await this.#parts.records.get(name), this.#parts.registry.newest(name));
    const { revision, previous } = loadedOf(name, replaced);
    if (!previous) throw new Fault("NO_PREVIOUS_REVISION", `Library ${name} has no revision before this one`);
    const { source } = previous;
    await this.#parts.shelf.prepare(source);
    const seen = await this.#prepareOnPeers(source, allowMissing, context);
    const version = await this.#commit(name, seen, (current) => {
      // Somebody else's load came between: what is to be rolled back is no longer what the caller saw.
      if (current?.revision !== revision || seen > revision) throw changedMeanwhile(name);
      return source;
    });
    return { ...(await this.#adoptEverywhere(version, context)), restoredRevision: previous.revision };
  }

  /** Rejects with UNKNOWN_LIBRARY, UNAVAILABLE (nothing changed) or INDETERMINATE. */
  async delete(name: string, context: CallContext): Promise<Committed> {
    const version = await this.#commit(name, 0, (current) => {
      loadedOf(name, current);
      return undefined;
    });
    return this.#adoptEverywhere(version, context);
  }

  /** A prepareLibrary request of a peer. */
  async prepareFromPeer(body: Uint8Array): Promise<Uint8Array> {
    const { source, name } = decodeRequest(embeddedVersion, body);
    if (!source) throw new Fault("INVALID_ARGUMENT", "a deletion needs no preparation");
    await this.#parts.shelf.prepare(source);
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

  /** The highest revision that any peer has seen. */
  async #prepareOnPeers(source: LibrarySource, allowMissing: boolean, context: CallContext): Promise<number> {
    const body = embed({ name: source.name, revision: 0, source });
    const answers = await this.#askPeers("prepareLibrary", body, otherShards, context);
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

  /** `next` decides what replaces the present version (undefined: nothing does), or throws where it must stay. */
  async #commit(
    name: string,
    seenByPeers: number,
    next: (current: LibraryVersion | undefined) => LibrarySource | undefined,
  ): Promise<LibraryVersion> {
    const { records, registry } = this.#parts;
    for (let attempt = 0; attempt < COMMIT_ATTEMPTS; attempt++) {
      const recorded = await records.get(name);
      const known = registry.newest(name);
      const current = newestOf(recorded, known);
      const source = next(current);
      const revision = Math.max(current?.revision ?? 0, seenByPeers) + 1;
      const version = this.#withPrevious({ name, revision, source }, current);
      if (await this.#write(version, recorded?.revision ?? 0)) return version;
    }
    throw changedMeanwhile(name);
  }

  #withPrevious(version: LibraryVersion, current: LibraryVersion | undefined): LibraryVersion {
    const whole = { ...version, previous: version.source && previousOf(version.source, current) };
    return encodeLibraryVersion(whole).length <= this.#parts.maxVersionBytes ? whole : version;
  }

  /** True: the version is the record. An answer that got lost is read back before anyone is told that it is unknown. */
  async #write(version: LibraryVersion, expectedRevision: number): Promise<boolean> {
    try {
      return await this.#parts.records.commit(version, expectedRevision);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "INDETERMINATE") throw fault;
      const recorded = await this.#parts.records.get(version.name).catch(() => {
        throw fault;
      });
      return recorded?.revision === version.revision && recorded.source?.hash === version.source?.hash;
    }
  }

  async #adoptEverywhere(version: LibraryVersion, context: CallContext): Promise<Committed> {
    await this.#parts.shelf.adopt(version);
    const answers = await this.#askPeers("adoptLibrary", embed(version), otherMasters, context);
    const missing = answers
      .filter(({ shard }) => servesCalls(shard))
      .filter(({ answer }) => answer instanceof Fault || revisionOf(answer) < version.revision);
    return { version, pending: missing.map(({ shard }) => formatAddress(shard.address)) };
  }

  #askPeers(
    what: PeerRequest,
    body: Uint8Array,
    asked: typeof otherShards,
    context: CallContext,
  ): Promise<readonly PeerAnswer<Uint8Array>[]> {
    const { shards } = this.#parts;
    const others = asked(shards);
    if (!others) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return askEach(shards, others, (peer) => peer.request(what, body, context));
  }
}

function newestOf(recorded: LibraryVersion | undefined, known: LibraryVersion | undefined): LibraryVersion | undefined {
  return known && isNewer(headOf(known), recorded && headOf(recorded)) ? known : recorded;
}

function loadedOf(name: string, current: LibraryVersion | undefined): LibraryVersion {
  if (!current?.source) throw new Fault("UNKNOWN_LIBRARY", `Unknown library ${name}`);
  return current;
}

function changedMeanwhile(name: string): Fault {
  const text = `library ${name} is being changed by others at the same time; nothing was changed here, look at it and try again`;
  return new Fault("UNAVAILABLE", text);
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
