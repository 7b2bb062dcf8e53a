import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { within } from "../base/within.ts";
import type { ConnectionDirectory, Holder } from "./connection-directory.ts";
import { isConnectionId } from "./resume-token.ts";

export interface ConnectionLocatorParts {
  readonly directory: Pick<ConnectionDirectory, "find">;
  /** Whether this node holds the connection. */
  readonly isHeldHere: (connectionId: string) => boolean;
}

/** Holders that are remembered; the one that was found longest ago goes first. */
const MAX_REMEMBERED = 50_000;

/** Finds who holds a connection: by what it remembers, which costs nothing, and by the directory where that was wrong. */
export class ConnectionLocator {
  readonly #parts: ConnectionLocatorParts;
  readonly #remembered = new Map<string, Holder>();

  constructor(parts: ConnectionLocatorParts) {
    this.#parts = parts;
  }

  /**
   * Makes the attempt at the holder ("here": this node), and once more where the connection has moved meanwhile. An attempt that fails with UNKNOWN_CONNECTION or UNAVAILABLE has
   * changed nothing. Rejects with UNKNOWN_CONNECTION where nobody holds it.
   */
  async atHolder<T>(
    connectionId: string,
    context: CallContext,
    attempt: (holder: Holder | "here") => Promise<T>,
  ): Promise<T> {
    if (!isConnectionId(connectionId)) throw new Fault("UNKNOWN_CONNECTION", "there is no connection of such an id");
    const first = this.#parts.isHeldHere(connectionId)
      ? "here"
      : (this.#remembered.get(connectionId) ?? (await this.#find(connectionId, context)));
    try {
      return await attempt(first);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      const mayHaveMoved = fault.code === "UNKNOWN_CONNECTION" || (fault.code === "UNAVAILABLE" && first !== "here");
      if (!mayHaveMoved) throw fault;
      this.#remembered.delete(connectionId);
      const found = await this.#find(connectionId, context);
      if (first !== "here" && found.nodeId === first.nodeId && found.runId === first.runId) throw fault;
      return attempt(found);
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
