import { Buffer } from "node:buffer";
import type { Clock } from "../base/clock.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { invalidToken } from "./connection-recovery.ts";
import type { HeldConnections } from "./held-connections.ts";
import { connectionDetails, takeOverRequest, takeOverResponse } from "./session-codec.ts";

export interface ConnectionHandoverParts {
  readonly held: HeldConnections;
  readonly nodeName: () => string;
  readonly clock: Clock;
  /** Largest answer. Unit: bytes. */
  readonly maxBytes: number;
}

/** How long what was handed over is kept for a node that asks again, since its first attempt failed behind that. Unit: ms. */
const RETENTION_MS = 10_000;

/** What an answer holds beside the details and the deliveries. */
const OVERHEAD_BYTES = 1024;

interface HandedOver {
  readonly tokenHash: string;
  readonly response: Uint8Array;
}

/** Gives connections to the nodes that their clients have come to. */
export class ConnectionHandover {
  readonly #parts: ConnectionHandoverParts;
  readonly #handedOver = new Map<string, HandedOver>();

  constructor(parts: ConnectionHandoverParts) {
    this.#parts = parts;
  }

  /**
   * Takes another node's encoded TakeOverConnectionRequest, answers the encoded response; the connection is not held here any more. Throws UNKNOWN_CONNECTION where it was not, and
   * UNAUTHENTICATED where the token is not its own.
   */
  fromPeer(body: Uint8Array): Uint8Array {
    const { connectionId, receivedSequence, ...request } = decodeRequest(takeOverRequest.decode, body);
    const { held, nodeName, clock, maxBytes } = this.#parts;
    const tokenHash = Buffer.from(request.tokenHash).toString("hex");
    if (held.hasEnded(connectionId)) throw invalidToken();
    const connection = held.get(connectionId);
    if (!connection) return this.#again(connectionId, tokenHash);
    if (tokenHash !== connection.tokenHash) throw invalidToken();
    const { log } = connection;
    log.resume(receivedSequence);
    const details = connection.details(nodeName());
    const room = maxBytes - connectionDetails.encode(details).length - OVERHEAD_BYTES;
    const response = takeOverResponse.encode({
      details,
      lastSequence: log.lastSequence,
      deliveries: log.behind(receivedSequence, room),
    });
    held.lose(connection);
    const handedOver = { tokenHash, response };
    this.#handedOver.set(connectionId, handedOver);
    clock.after(RETENTION_MS, () => {
      if (this.#handedOver.get(connectionId) === handedOver) this.#handedOver.delete(connectionId);
    });
    return response;
  }

  #again(connectionId: string, tokenHash: string): Uint8Array {
    const handedOver = this.#handedOver.get(connectionId);
    if (handedOver?.tokenHash === tokenHash) return handedOver.response;
    throw new Fault("UNKNOWN_CONNECTION", `connection ${connectionId} is not held here`);
  }
}
