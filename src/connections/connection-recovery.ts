import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { Connection } from "./connection.ts";
import type { ConnectionDirectory, ConnectionRecord, Holder } from "./connection-directory.ts";
import { type DeliveryLimits, DeliveryLog } from "./delivery-log.ts";
import { connectionOf, hashOf } from "./resume-token.ts";
import type { TakeOverRequest, TakeOverResponse } from "./session-codec.ts";

export interface ConnectionRecoveryParts {
  readonly directory: Pick<ConnectionDirectory, "find">;
  /** This node; undefined until it knows its Redis. */
  readonly holder: () => Holder | undefined;
  /** Asks another node for a connection that it holds. Rejects with UNKNOWN_CONNECTION where it does not. */
  readonly takeOver: (nodeId: string, request: TakeOverRequest, context: CallContext) => Promise<TakeOverResponse>;
  readonly deliveries: DeliveryLimits;
}

/** Finds the connection of a resume token, and brings it here from wherever it is. */
export class ConnectionRecovery {
  readonly #parts: ConnectionRecoveryParts;

  constructor(parts: ConnectionRecoveryParts) {
    this.#parts = parts;
  }

  /** The record whose token this is. Rejects with UNAUTHENTICATED where it is not valid, UNKNOWN_CONNECTION where the grace time is over. */
  async recordOf(token: string): Promise<ConnectionRecord> {
    const id = connectionOf(token);
    if (id === undefined) throw invalidToken();
    const found = await this.#parts.directory.find(id);
    if (!found) throw new Fault("UNKNOWN_CONNECTION", "the time to resume this connection is over; open a new one");
    if (found.record.tokenHash !== hashOf(token)) throw invalidToken();
    return found.record;
  }

  /** From the node that holds it, with what it kept for the client behind `receivedSequence`; where that node is lost, as the directory has it. */
  async fetch(
    { holder, tokenHash, details }: ConnectionRecord,
    receivedSequence: number,
    context: CallContext,
  ): Promise<Connection> {
    const { takeOver, deliveries, holder: self } = this.#parts;
    if (holder.runId !== self()?.runId) {
      const request = { connectionId: details.id, tokenHash: Buffer.from(tokenHash, "hex"), receivedSequence };
      const taken = await takeOver(holder.nodeId, request, context).catch((thrown: unknown) => {
        const fault = Fault.from(thrown);
        if (fault.code === "UNAUTHENTICATED") throw fault;
        return undefined;
      });
      if (taken?.details) {
        return Connection.restored(taken.details, tokenHash, DeliveryLog.restored(deliveries, receivedSequence, taken));
      }
    }
    return Connection.restored(details, tokenHash, DeliveryLog.afterLoss(deliveries));
  }
}

export function invalidToken(): Fault {
  return new Fault("UNAUTHENTICATED", "the resume token is not valid: it was used, or belongs to no connection");
}
