import type { Redis } from "ioredis";
import { type Clock, systemClock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { type ActivityLease, isAlive, nextStep } from "../topology/activity.ts";
import { connectionName, parseConnections } from "./connection-name.ts";

export interface ActivityLeaseOptions {
  /** The control connection. Named `connectionName(namespace, runId, "standby")`, which it is again after each reconnection. */
  readonly client: Redis;
  readonly namespace: string;
  readonly runId: string;
  /** A holder that is silent this long is replaced, up to two seconds later: Redis counts idle time in whole ones. Unit: ms. */
  readonly leaseMs: number;
  /** Redis refused a step, or did not answer; the next one comes after a third of the lease. */
  readonly onFailure: (fault: Fault) => void;
  readonly clock?: Clock;
}

type State =
  | { readonly kind: "disconnected" }
  | { readonly kind: "stopped" }
  /** `holder`: the connection that has the lease, as of the last look. */
  | { readonly kind: "standby"; readonly ownId: string; readonly holder: string | undefined }
  /** `confirmedAt`: when the last message was sent that Redis answered. */
  | { readonly kind: "held"; readonly ownId: string; readonly confirmedAt: number };

/**
 * The lease is a name: the connection called `...:active` has it. Who wants it takes the name first and lists all names then, so of two
 * that try at once at most one sees no other; who sees one takes the name off again. No transaction: a Redis that is out of memory
 * refuses those.
 */
export class RedisActivityLease implements ActivityLease {
  readonly #options: ActivityLeaseOptions;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #state: State = { kind: "disconnected" };
  #wasHeld = false;
  #isStepping = false;
  #stopTicking: (() => void) | undefined;
  readonly #onReady = () => void this.#step();
  readonly #onClose = () => this.#enter({ kind: "disconnected" });

  constructor(options: ActivityLeaseOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Also false once a lease has passed without an answer, when another one may take over: see isAlive. */
  isHeld(): boolean {
    return this.#state.kind === "held" && this.#clock.now() - this.#state.confirmedAt < this.#options.leaseMs;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    const { client, leaseMs } = this.#options;
    client.on("ready", this.#onReady);
    client.on("close", this.#onClose);
    this.#stopTicking = this.#clock.every(leaseMs / 3, () => void this.#step());
    if (client.status === "ready") void this.#step();
  }

  /** Counts itself out for good. The control connection must be closed next: until then others see the lease as held. */
  stop(): void {
    const { client } = this.#options;
    this.#stopTicking?.();
    client.off("ready", this.#onReady);
    client.off("close", this.#onClose);
    this.#enter({ kind: "stopped" });
    this.#listeners.clear();
  }

  #enter(state: State): void {
    if (this.#state.kind === "stopped") return;
    this.#state = state;
    this.#announce();
  }

  #announce(): void {
    const isHeld = this.isHeld();
    if (isHeld === this.#wasHeld) return;
    this.#wasHeld = isHeld;
    for (const listener of this.#listeners) listener();
  }

  async #step(): Promise<void> {
    this.#announce(); // the lease may have run out since the last step
    if (this.#isStepping || this.#options.client.status !== "ready") return;
    this.#isStepping = true;
    try {
      if (this.#state.kind === "held") await this.#confirm(this.#state.ownId);
      else await this.#look(this.#state.kind === "standby" ? this.#state : await this.#arrive());
    } catch (cause) {
      this.#options.onFailure(
        new Fault("UNAVAILABLE", `the lease on this Redis could not be kept: ${cause}`, { cause }),
      );
    } finally {
      this.#isStepping = false;
    }
  }

  async #arrive(): Promise<State & { kind: "standby" }> {
    const state = {
      kind: "standby",
      ownId: String(await this.#options.client.client("ID")),
      holder: undefined,
    } as const;
    this.#enter(state);
    return state;
  }

  async #confirm(ownId: string): Promise<void> {
    const confirmedAt = this.#clock.now();
    await this.#options.client.ping();
    this.#settle(ownId, { kind: "held", ownId, confirmedAt });
  }

  /** Asks for the holder alone as long as it lives; listing all clients is for when it does not. */
  async #look({ ownId, holder }: State & { kind: "standby" }): Promise<void> {
    const { client, namespace, runId, leaseMs } = this.#options;
    if (holder !== undefined) {
      const [watched] = parseConnections(String(await client.call("CLIENT", "LIST", "ID", holder)), namespace);
      if (watched && isAlive(watched, leaseMs)) return;
    }
    const listed = parseConnections(String(await client.call("CLIENT", "LIST", "TYPE", "normal")), namespace);
    const step = nextStep(listed, { id: ownId, runId }, leaseMs);
    if (step.kind === "stand-by") return this.#settle(ownId, { kind: "standby", ownId, holder: step.holder });
    if (step.kind === "fence") await Promise.all(step.connections.map((id) => client.call("CLIENT", "KILL", "ID", id)));
    await this.#take(ownId);
  }

  async #take(ownId: string): Promise<void> {
    const { client, namespace, runId, leaseMs } = this.#options;
    const confirmedAt = this.#clock.now();
    // Both in one write, so that Redis nearly always runs them back to back, and two that try at once seldom see each other.
    const [, list] = await Promise.all([
      client.call("CLIENT", "SETNAME", connectionName(namespace, runId, "active")),
      client.call("CLIENT", "LIST", "TYPE", "normal"),
    ]);
    const step = nextStep(parseConnections(String(list), namespace), { id: ownId, runId }, leaseMs);
    if (step.kind === "take") return this.#settle(ownId, { kind: "held", ownId, confirmedAt });
    await client.call("CLIENT", "SETNAME", connectionName(namespace, runId, "standby"));
    this.#settle(ownId, { kind: "standby", ownId, holder: step.kind === "stand-by" ? step.holder : undefined });
  }

  /** What was learnt over a connection that is gone meanwhile says nothing of the one that followed it. */
  #settle(ownId: string, state: State): void {
    if ("ownId" in this.#state && this.#state.ownId === ownId) this.#enter(state);
  }
}
