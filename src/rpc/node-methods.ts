import type { CallContext } from "../base/call-context.ts";
import { monotonicMs } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import type { Method, MethodTable } from "./method-table.ts";
import { type RunMethodRequest, runMethodRequest, runMethodResponse } from "./rpc-codec.ts";

/** Told about every method that runs here, for the metrics. */
export interface MethodObserver {
  started(): void;
  ended(code: FaultCode | "OK", seconds: number): void;
}

export interface NodeMethodsParts {
  readonly table: MethodTable;
  readonly nodeName: () => string;
  /** How a connection that is held here runs a method that it has registered; undefined: it has not. Throws UNKNOWN_CONNECTION where it is not held here. */
  readonly ofConnection: (connectionId: string, method: string) => Method | undefined;
  /** Makes sure that this node's shard owns the slot. Rejects with MOVED or UNAVAILABLE. */
  readonly assertOwner: (slot: number) => Promise<void>;
  /** Unit: bytes. */
  readonly maxResultBytes: number;
  readonly observer: MethodObserver;
}

/** Runs methods on this node: the one place where each of them begins, wherever its call came from. */
export class NodeMethods {
  readonly #parts: NodeMethodsParts;

  constructor(parts: NodeMethodsParts) {
    this.#parts = parts;
  }

  /** A call that came over a link: takes an encoded RunMethodRequest, resolves with the encoded response. */
  async fromPeer(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    return this.run({ ...decodeRequest(runMethodRequest.decode, body), encoded: body }, context);
  }

  /** Resolves with the encoded RunMethodResponse. */
  async run(request: RunMethodRequest, context: CallContext): Promise<Uint8Array> {
    const { observer, nodeName, maxResultBytes, assertOwner } = this.#parts;
    const startedMs = monotonicMs();
    let code: FaultCode | "OK" = "OK";
    observer.started();
    try {
      const { method, args, caller, slotPlusOne, encoded } = request;
      this.#authorize(request, context);
      const slot = slotPlusOne > 0 ? slotPlusOne - 1 : undefined;
      if (slot !== undefined) await assertOwner(slot);
      const result = await this.#find(request)({ method, args, caller, slot, encoded }, context);
      if (result.length > maxResultBytes) {
        const text = `method ${method} returned ${result.length} bytes, more than maxResultBytes (${maxResultBytes})`;
        throw new Fault("RESOURCE_EXHAUSTED", text);
      }
      return runMethodResponse.encode({ result, node: nodeName() });
    } catch (thrown) {
      const fault = Fault.from(thrown);
      code = fault.code;
      throw fault;
    } finally {
      observer.ended(code, (monotonicMs() - startedMs) / 1000);
    }
  }

  /** Where it runs as well as where it comes in: a peer of an older release lets more in, and which methods are for admins may differ. */
  #authorize({ method, caller }: RunMethodRequest, { isAdmin = false }: CallContext): void {
    if (isAdmin || !this.#parts.table.isForAdmins(method)) return;
    const text = `method ${method} needs the scope admin, and ${caller} does not say that its caller has that: where it is of an older release, ask another node`;
    throw new Fault("PERMISSION_DENIED", text);
  }

  #find({ method, connectionId }: RunMethodRequest): Method {
    const { table, nodeName, ofConnection } = this.#parts;
    const own = connectionId === "" ? undefined : ofConnection(connectionId, method);
    const found = own ?? table.find(method);
    if (!found) throw new Fault("UNKNOWN_METHOD", `no method ${method} is registered on ${nodeName()}`);
    return found;
  }
}
