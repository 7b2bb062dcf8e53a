import { type CallContext, nestedContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import { within } from "../base/within.ts";
import type { ClientCall, Connection } from "./connection.ts";
import type { ConnectionLocator } from "./connection-locator.ts";
import type { ConnectionOperations } from "./connection-operations.ts";
import type { HeldConnections } from "./held-connections.ts";
import { type ApplyRequest, applyRequest, applyResponse } from "./session-codec.ts";

export interface ApplyParts {
  readonly held: HeldConnections;
  readonly locator: ConnectionLocator;
  readonly operations: ConnectionOperations;
  readonly nodeName: () => string;
  /** Asks the node that holds the connection; takes the encoded request, resolves with the encoded response. */
  readonly askHolder: (nodeId: string, body: Uint8Array, context: CallContext) => Promise<Uint8Array>;
  /** Runs a method that the connection has registered; resolves with the encoded payload. Rejects with UNKNOWN_METHOD where it has not. */
  readonly runMethod: (connection: Connection, call: ClientCall, context: CallContext) => Promise<Uint8Array>;
  /** For calls that name no other. Unit: ms. */
  readonly rpcTimeoutMs: number;
}

/** Reads or changes a connection where it is held. */
export class Apply {
  readonly #parts: ApplyParts;

  constructor(parts: ApplyParts) {
    this.#parts = parts;
  }

  /** A client's call: takes an encoded ApplyRequest, resolves with the encoded response. */
  async fromClient(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const request = decodeRequest(applyRequest.decode, body);
    const { connectionId, args, timeoutMs } = request;
    if (connectionId === "") throw new Fault("INVALID_ARGUMENT", "name the connection");
    args.forEach(checkPayload);
    const { locator, askHolder, rpcTimeoutMs } = this.#parts;
    const bounded = nestedContext(context, timeoutMs || rpcTimeoutMs);
    try {
      const applied = locator.atHolder(connectionId, bounded, (holder) =>
        holder === "here" ? this.#here(request, bounded) : askHolder(holder.nodeId, body, bounded),
      );
      return await within(bounded, applied);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "DEADLINE_EXCEEDED") throw fault;
      throw new Fault("DEADLINE_EXCEEDED", "RPC Timeout", { cause: fault });
    }
  }

  /** Another node's, for a connection that is held here. */
  async fromPeer(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    return this.#here(decodeRequest(applyRequest.decode, body), context);
  }

  async #here({ connectionId, method, args }: ApplyRequest, context: CallContext): Promise<Uint8Array> {
    const { held, nodeName } = this.#parts;
    const connection = held.get(connectionId);
    if (!connection) throw new Fault("UNKNOWN_CONNECTION", `no connection ${connectionId} is open here`);
    const result = method === "" ? undefined : await this.#run(connection, method, args, context);
    return applyResponse.encode({ details: connection.details(nodeName()), result });
  }

  async #run(
    connection: Connection,
    method: string,
    args: readonly Uint8Array[],
    context: CallContext,
  ): Promise<Uint8Array | undefined> {
    const { operations, runMethod, nodeName } = this.#parts;
    if (operations.has(method)) {
      await operations.run(method, connection, args, context);
      return undefined;
    }
    return runMethod(connection, { method, args, caller: nodeName() }, context);
  }
}
