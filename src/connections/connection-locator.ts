import { nextAttempt } from "../base/attempts.ts";
import { type CallContext, nestedContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { within } from "../base/within.ts";
import type { ConnectionDirectory, Holder } from "./connection-directory.ts";
import { isConnectionId } from "./resume-token.ts";

export interface ConnectionLocatorParts {
  readonly directory: Pick<ConnectionDirectory, "find">;
  /** Whether this node holds the connection. */
  readonly isHeldHere: (connectionId: string) => boolean;
  /** Whether this node has said that it stops: its connections come to other nodes. */
  readonly isLeaving: (nodeId: string) => boolean;
}

/** Holders that are remembered; the one that was found longest ago goes first. */
const MAX_REMEMBERED = 50_000;

/** From a node's letting go of a connection to its record's naming the next one. Unit: ms. */
const IN_TRANSIT_MS = 1000;

/** Finds who holds a connection: by what it remembers, which costs nothing, and by the directory where that was wrong. */
export class ConnectionLocator {
  readonly #parts: ConnectionLocatorParts;
  readonly #remembered = new Map<string, Holder>();

  constructor(parts: ConnectionLocatorParts) {
    this.#parts = parts;
  }

  /**
   * Makes the attempt at the holder ("here": this node), and again where the connection has moved meanwhile, or is about to. An attempt that fails with UNKNOWN_CONNECTION or
   * UNAVAILABLE has changed nothing. Rejects with UNKNOWN_CONNECTION where nobody holds it.
   */
  async atHolder<T>(
    connectionId: string,
    context: CallContext,
    attempt: (holder: Holder | "here") => Promise<T>,
  ): Promise<T> {
    if (!isConnectionId(connectionId)) throw new Fault("UNKNOWN_CONNECTION", "there is no connection of such an id");
    const { isHeldHere, isLeaving } = this.#parts;
    const inTransit = nestedContext(context, IN_TRANSIT_MS);
    let holder: Holder | "here" = isHeldHere(connectionId)
      ? "here"
      : (this.#remembered.get(connectionId) ?? (await this.#find(connectionId, context)));
    for (let attempts = 0; ; attempts++) {
      try {
        return await attempt(holder);
      } catch (thrown) {
        const fault = Fault.from(thrown);
        const mayHaveMoved = fault.code === "UNKNOWN_CONNECTION" || (fault.code === "UNAVAILABLE" && holder !== "here");
        if (!mayHaveMoved) throw fault;
        this.#remembered.delete(connectionId);
        const found = await this.#find(connectionId, context);
        const hasMoved = holder === "here" || found.nodeId !== holder.nodeId || found.runId !== holder.runId;
        const isMoving = fault.code === "UNKNOWN_CONNECTION" || isLeaving(found.nodeId);
        if (!hasMoved && !isMoving) throw fault;
        const patience = isLeaving(found.nodeId) ? context : inTransit;
        if (!(await nextAttempt(patience, attempts, attempts === 0 && hasMoved))) throw fault;
        holder = found;
      }
    }
  }

  async #find(connectionId: string, context: CallContext): Promise<Holder> {
    const found = await within(context, this.#parts.directory.find(connectionId));
    if (!found?.isLeased) throw new Fault("UNKNOWN_CONNECTION", `no connection ${connectionId} is open`);
    const { holder } = found.record;
    this.#remembered.set(connectionId, holder);
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_REMEMBERED) break;
      this.#remembered.delete(oldest);
    }
    return holder;
  }
}
