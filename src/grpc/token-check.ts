import { createHash, timingSafeEqual } from "node:crypto";
import type { Metadata } from "@grpc/grpc-js";

/**
 * Whether a call carries a valid token in `authorization: Bearer <token>`. Digests are compared, in constant time and all of
 * them each time, so that an answer's timing tells neither a token's length nor which one matched.
 */
export class TokenCheck {
  readonly #digests: readonly Buffer[];

  /** `tokens`: one, or two while a token is being replaced. */
  constructor(tokens: readonly string[]) {
    this.#digests = tokens.map(digest);
  }

  accepts(metadata: Metadata): boolean {
    const [header] = metadata.get("authorization");
    if (typeof header !== "string" || !/^bearer /i.test(header)) return false;
    const offered = digest(header.slice("bearer ".length));
    return this.#digests.reduce((accepted, known) => timingSafeEqual(known, offered) || accepted, false);
  }
}

function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
