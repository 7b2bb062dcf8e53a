import type { CallContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { within } from "../base/within.ts";
import { Connection } from "./connection.ts";
import type { ConnectionDirectory, ConnectionRecord, Holder } from "./connection-directory.ts";
import { type DeliveryLimits, DeliveryLog } from "./delivery-log.ts";
import { connectionOf, hashOf } from "./resume-token.ts";
import type { ConnectionDetails, TakeOverRequest, TakeOverResponse } from "./session-codec.ts";

export interface ConnectionRecoveryParts {
  readonly directory: Pick<ConnectionDirectory, "find">;
  /** This node; undefined until it knows its Redis. */
  readonly holder: () => Holder | undefined;
  /** Asks the node that holds a connection for it; this one, too, may have handed it over in vain. Rejects with UNKNOWN_CONNECTION where it has nothing of it. */
  readonly takeOver: (nodeId: string, request: TakeOverRequest, context: CallContext) => Promise<TakeOverResponse>;
  readonly deliveries: DeliveryLimits;
}

/** Finds the connection of a resume token, and brings it here from wherever it is. */
export class ConnectionRecovery {
  readonly #parts: ConnectionRecoveryParts;

  constructor(parts: ConnectionRecoveryParts) {
    this.#parts = parts;
  }

  /** Whether the record says that this node holds the connection. */
  isHolder({ holder }: ConnectionRecord): boolean {
    return holder.runId === this.#parts.holder()?.runId;
  }

  /** The record whose token this is. Rejects with UNAUTHENTICATED where it is not valid, UNKNOWN_CONNECTION where the grace time is over. */
  async recordOf(token: string, context: CallContext): Promise<ConnectionRecord> {
    const id = connectionOf(token);
    if (id === undefined) throw invalidToken();
    const found = await within(context, this.#parts.directory.find(id));
    if (!found) throw new Fault("UNKNOWN_CONNECTION", "the time to resume this connection is over; open a new one");
    if (found.record.tokenHash !== hashOf(token)) throw invalidToken();
    return found.record;
  }

  /**
   * What the node that holds the connection has of it, with what it kept for the client behind `receivedSequence`. Undefined where that node is lost; one that lives and refuses, or a
   * caller that gives up, is no such case.
   */
  async takeOver(
    { holder, tokenHash, details }: ConnectionRecord,
    receivedSequence: number,
    context: CallContext,
  ): Promise<TakeOverResponse | undefined> {
    const request = { connectionId: details.id, tokenHash: Buffer.from(tokenHash, "hex"), receivedSequence };
    try {
      return await this.#parts.takeOver(holder.nodeId, request, context);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      const isOver = context.signal.aborted || remainingMs(context.deadline) === 0;
      if (isOver || !LOST.has(fault.code)) throw fault;
      return undefined;
    }
  }

  /** The connection of these details, as it was taken over; undefined: its holder was lost with what it kept. */
  restored(
    details: ConnectionDetails,
    tokenHash: string,
    receivedSequence: number,
    taken: TakeOverResponse | undefined,
  ): Connection {
    const { deliveries } = this.#parts;
    const log = taken
      ? DeliveryLog.restored(deliveries, receivedSequence, taken)
      : DeliveryLog.afterLoss(deliveries, receivedSequence);
    return Connection.restored(details, tokenHash, log);
  }
}

/** How it shows that a holder is lost, or has lost the connection. */
const LOST: ReadonlySet<FaultCode> = new Set<FaultCode>([
  "UNAVAILABLE",
  "INDETERMINATE",
  "DEADLINE_EXCEEDED",
  "UNKNOWN_CONNECTION",
]);

export function invalidToken(): Fault {
  return new Fault("UNAUTHENTICATED", "the resume token is not valid: it was used, or belongs to no connection");
}
