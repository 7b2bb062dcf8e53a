import { createHash, timingSafeEqual } from "node:crypto";

/**
 * What a token may be for. `call`: everything that works with functions and data; `admin`: what changes the deployment; `peer`: to be another
 * coordinator; `metrics`: to read /metrics.
 */
export const SCOPES = ["call", "admin", "peer", "metrics"] as const;
export type Scope = (typeof SCOPES)[number];

export interface ScopedToken {
  readonly token: string;
  readonly scopes: readonly Scope[];
}

/** What an `authorization` came to: a token that is known, with its scopes, or nothing that is. `digest` says whether two are the same. */
export interface Shown {
  readonly digest: string;
  readonly scopes: ReadonlySet<Scope>;
}

interface KnownToken extends Shown {
  readonly bytes: Buffer;
}

/**
 * Which token a call carries in `authorization: Bearer <token>`. Digests are compared, in constant time and all of them each time, so that an
 * answer's timing tells neither a token's length nor which one matched.
 */
export class TokenCheck {
  #known: readonly KnownToken[];

  /** Of a token that is there twice the first one counts. */
  constructor(tokens: readonly ScopedToken[]) {
    this.#known = tokens.map(knownToken);
  }

  /** From now on these are valid, and no others. */
  replace(tokens: readonly ScopedToken[]): void {
    this.#known = tokens.map(knownToken);
  }

  /** `header`: of `authorization`; anything but a text is none. */
  shown(header: unknown): Shown | undefined {
    if (typeof header !== "string" || !/^bearer /i.test(header)) return undefined;
    const offered = digestOf(header.slice("bearer ".length));
    let found: Shown | undefined;
    for (const known of this.#known) if (timingSafeEqual(known.bytes, offered)) found ??= known;
    return found;
  }

  /** Whether a token that was shown before is still valid for all that it was valid for then. */
  stillHas({ digest, scopes }: Shown): boolean {
    return this.#known.some((known) => known.digest === digest && scopes.isSubsetOf(known.scopes));
  }
}

function knownToken({ token, scopes }: ScopedToken): KnownToken {
  const bytes = digestOf(token);
  return { bytes, digest: bytes.toString("base64"), scopes: new Set(scopes) };
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
