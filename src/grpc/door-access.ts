import type { Metadata, ServerInterceptingCallInterface } from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import { connectionOf } from "./connection-of.ts";
import type { FailureLimit } from "./failure-limit.ts";
import { scopeOf } from "./method-scopes.ts";
import type { Shown, TokenCheck } from "./token-check.ts";

/** Why a call did not get in: no token or a wrong one, one that is for something else, too many failures before, too much metadata. */
export type ClientRefusal = "token" | "scope" | "limit" | "metadata";
/** Why a link did not: no certificate, or too many failures before. */
export type PeerRefusal = "certificate" | "limit";

export interface DoorObserver {
  clientRefused(why: ClientRefusal): void;
  peerRefused(why: PeerRefusal): void;
}

export interface DoorAccessParts {
  readonly tokens: TokenCheck;
  readonly limit: FailureLimit;
  /** Whether whoever wants to link must have shown a certificate. */
  readonly demandsPeerCertificate: boolean;
  readonly observer: DoorObserver;
}

/** What the metadata of one call may take. Unit: bytes. */
const MAX_METADATA_BYTES = 16 * 1024;

interface OpenStream {
  readonly shown: Shown;
  readonly end: (fault: Fault) => void;
}

/** Who may come in by which method. Each check throws the Fault that the caller gets. */
export class DoorAccess {
  readonly #parts: DoorAccessParts;
  /** Those whose last call showed a valid token: who else fails from their address does not keep them out. */
  readonly #proven = new WeakSet<object>();
  readonly #streams = new Set<OpenStream>();
  /** What each call has shown, by its metadata: the one object that both the door and the service behind it see. */
  readonly #shown = new WeakMap<Metadata, Shown>();

  constructor(parts: DoorAccessParts) {
    this.#parts = parts;
  }

  checkSize(metadata: Metadata): void {
    if (bytesOf(metadata) <= MAX_METADATA_BYTES) return;
    this.#parts.observer.clientRefused("metadata");
    throw new Fault("RESOURCE_EXHAUSTED", `the metadata of a call may take ${MAX_METADATA_BYTES} bytes`);
  }

  checkToken(call: ServerInterceptingCallInterface, metadata: Metadata, service: string, method: string): Shown {
    const { tokens, limit, observer } = this.#parts;
    const connection = connectionOf(call);
    if (!this.#proven.has(connection) && !limit.admits("client", call.getPeer())) {
      observer.clientRefused("limit");
      throw tooManyFailures();
    }
    const [header, ...more] = metadata.get("authorization");
    const shown = more.length === 0 ? tokens.shown(header) : undefined;
    if (!shown) {
      this.#proven.delete(connection);
      limit.failedAt("client", call.getPeer());
      observer.clientRefused("token");
      throw new Fault("UNAUTHENTICATED", "send a valid token as `authorization: Bearer <token>`");
    }
    this.#proven.add(connection);
    const scope = scopeOf(service, method);
    if (scope === undefined || scope === "none" || !shown.scopes.has(scope)) {
      observer.clientRefused("scope");
      throw new Fault("PERMISSION_DENIED", `the token is not for ${method}, which needs the scope ${scope}`);
    }
    this.#shown.set(metadata, shown);
    return shown;
  }

  /** Whether the call that has this metadata was let in by a token with the scope `admin`. */
  isAdmin(metadata: Metadata): boolean {
    return this.#shown.get(metadata)?.scopes.has("admin") ?? false;
  }

  /** Who wants to link: the token is proved on the link itself. */
  checkPeer(call: ServerInterceptingCallInterface): void {
    const { demandsPeerCertificate, limit, observer } = this.#parts;
    if (demandsPeerCertificate && !call.getAuthContext().sslPeerCertificate) {
      observer.peerRefused("certificate");
      throw new Fault("UNAUTHENTICATED", "a coordinator must show a certificate of an authority that tlsCaFile names");
    }
    if (limit.admits("mesh", call.getPeer())) return;
    observer.peerRefused("limit");
    throw tooManyFailures();
  }

  /** Ends the stream once its token is valid no longer, or for less: what runs on it goes by what was shown when it was opened. Returns what to call when it has ended by itself. */
  watch(shown: Shown, end: (fault: Fault) => void): () => void {
    const stream: OpenStream = { shown, end };
    this.#streams.add(stream);
    return () => this.#streams.delete(stream);
  }

  /** The tokens have changed. */
  recheck(): void {
    for (const { shown, end } of this.#streams) {
      if (this.#parts.tokens.stillHas(shown)) continue;
      // Who has the new token comes again with it.
      end(new Fault("UNAVAILABLE", "the token that this stream was opened with is valid no longer, or for less"));
    }
  }
}

function tooManyFailures(): Fault {
  return new Fault("RESOURCE_EXHAUSTED", "too many attempts from this address failed to authenticate; try again later");
}

function bytesOf(metadata: Metadata): number {
  let bytes = 0;
  for (const [key, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) bytes += key.length + value.length;
  }
  return bytes;
}
