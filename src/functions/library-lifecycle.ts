import { formatAddress } from "../base/address.ts";
import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { WireReader, WireWriter } from "../base/wire.ts";
import { decodeRequest } from "./decode-request.ts";
import { parseLibraryHeader } from "./library-header.ts";
import { askEach, otherShards, type PeerAnswer } from "./library-peers.ts";
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

/**
 * Loads and deletes libraries on the whole cluster: every coordinator prepares, one compare-and-set in Redis commits, every
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
    const version = await this.#commit(source.name, source, seen, (current) => {
      if (!options.replace) refuseExisting(current);
    });
    return this.#adoptEverywhere(version, context);
  }

  /** Rejects with UNKNOWN_LIBRARY, UNAVAILABLE (nothing changed) or INDETERMINATE. */
  async delete(name: string, context: CallContext): Promise<Committed> {
    const version = await this.#commit(name, undefined, 0, (current) => {
      if (!current?.source) throw new Fault("UNKNOWN_LIBRARY", `Unknown library ${name}`);
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
    return new WireWriter().uint(1, this.#parts.registry.newest(version.name)?.revision ?? 0).finish();
  }

  /** The highest revision that any peer has seen. */
  async #prepareOnPeers(source: LibrarySource, allowMissing: boolean, context: CallContext): Promise<number> {
    const body = embed({ name: source.name, revision: 0, source });
    const answers = await this.#askPeers("prepareLibrary", body, context);
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

  async #commit(
    name: string,
    source: LibrarySource | undefined,
    seenByPeers: number,
    check: (current: LibraryVersion | undefined) => void,
  ): Promise<LibraryVersion> {
    const { records, registry } = this.#parts;
    for (let attempt = 0; attempt < COMMIT_ATTEMPTS; attempt++) {
      const recorded = await records.get(name);
      const known = registry.newest(name);
      check(known && isNewer(headOf(known), recorded && headOf(recorded)) ? known : recorded);
      const revision = Math.max(recorded?.revision ?? 0, known?.revision ?? 0, seenByPeers) + 1;
      const version: LibraryVersion = { name, revision, source };
      if (await this.#write(version, recorded?.revision ?? 0)) return version;
    }
    throw new Fault(
      "UNAVAILABLE",
      `library ${name} is being loaded by others at the same time; nothing was changed, try again`,
    );
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
    const answers = await this.#askPeers("adoptLibrary", embed(version), context);
    const missing = answers.filter(({ answer }) => answer instanceof Fault || revisionOf(answer) < version.revision);
    return { version, pending: missing.map(({ shard }) => formatAddress(shard.address)) };
  }

  #askPeers(what: PeerRequest, body: Uint8Array, context: CallContext): Promise<readonly PeerAnswer<Uint8Array>[]> {
    const { shards } = this.#parts;
    const others = otherShards(shards);
    if (!others) throw new Fault("UNAVAILABLE", "this coordinator has not reached its Redis yet");
    return askEach(shards, others, (peer) => peer.request(what, body, context));
  }
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
