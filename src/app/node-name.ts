import type { NameClaim, NameRegistry } from "../storage/records.ts";

export interface NodeNameParts {
  readonly registry: NameRegistry;
  readonly prefix: string;
  readonly claim: Omit<NameClaim, "identity">;
  /** Known once Redis has been asked. */
  readonly identity: () => string | undefined;
  readonly changed: (from: string, to: string, superseded: boolean) => void;
}

/**
 * The name this coordinator goes by in logs, metrics and replies: `gearmesh-1` once the lease is claimed, `gearmesh-?` before.
 * While Redis is away the name stays as it was; nothing may depend on it being unique.
 */
export class NodeName {
  readonly #parts: NodeNameParts;
  #name: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: NodeNameParts) {
    this.#parts = parts;
    this.#name = this.#unclaimed;
  }

  get current(): string {
    return this.#name;
  }

  /** The same, or empty as long as none is claimed. */
  get claimed(): string {
    return this.#name === this.#unclaimed ? "" : this.#name;
  }

  /** Claims the name and renews it three times per lease. Resolves after the first attempt, whatever came of it. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.#renew(), this.#parts.claim.leaseMs / 3);
    this.#timer.unref();
    await this.#renew();
  }

  /** Gives the name back, so that the next coordinator can have it at once. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const claim = this.#claim();
    // A Redis that is away frees the name itself when the lease ends.
    if (claim) await this.#parts.registry.release(claim).catch(() => undefined);
  }

  async #renew(): Promise<void> {
    const claim = this.#claim();
    if (!claim) return;
    const { registry, changed, prefix } = this.#parts;
    const answer = await registry.claim(claim).catch(() => undefined);
    if (!answer) return;
    const superseded = "superseded" in answer;
    const name = superseded ? this.#unclaimed : `${prefix}-${answer.number}`;
    if (name === this.#name) return;
    const previous = this.#name;
    this.#name = name;
    changed(previous, name, superseded);
  }

  get #unclaimed(): string {
    return `${this.#parts.prefix}-?`;
  }

  #claim(): NameClaim | undefined {
    const identity = this.#parts.identity();
    return identity === undefined ? undefined : { ...this.#parts.claim, identity };
  }
}
