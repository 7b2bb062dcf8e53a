import { Fault } from "../base/fault.ts";
import { payloadOf, payloadValue } from "../base/json-payload.ts";
import { runMethodRequest, runMethodResponse } from "../rpc/rpc-codec.ts";
import type { RpcValue } from "./rpc.ts";

/** Serves calls of a method: takes the arguments, returns the result, or throws what the caller is told. */
export type ConnectionMethod = (...args: RpcValue[]) => unknown;

/** The methods that a connection serves. */
export class ServedMethods {
  readonly #registered: Map<string, ConnectionMethod>;
  /** Those that the coordinator has been asked for: a call may come in the same frame as its answer. They are not asked for anew with a resumed link, which a refusal would end. */
  readonly #registering = new Map<string, ConnectionMethod>();

  constructor(registered: Readonly<Record<string, ConnectionMethod>>) {
    this.#registered = new Map(Object.entries(registered));
  }

  /** Of those that the coordinator has registered. */
  get names(): readonly string[] {
    return [...this.#registered.keys()];
  }

  /** Serves it while `request` asks the coordinator to register it, and from then on; where that fails, what was there before. Rejects as `request` does. */
  async register(method: string, serve: ConnectionMethod, request: () => Promise<unknown>): Promise<void> {
    this.#registering.set(method, serve);
    try {
      await request();
      this.#registered.set(method, serve);
    } finally {
      if (this.#registering.get(method) === serve) this.#registering.delete(method);
    }
  }

  unregister(method: string): void {
    this.#registered.delete(method);
  }

  /** Takes an encoded RunMethodRequest, resolves with the encoded response. Rejects with UNKNOWN_METHOD or METHOD_FAILED. */
  async run(body: Uint8Array): Promise<Uint8Array> {
    const { method, args } = runMethodRequest.decode(body);
    const serve = this.#registering.get(method) ?? this.#registered.get(method);
    if (!serve) throw new Fault("UNKNOWN_METHOD", `this client serves no method ${method}`);
    try {
      return runMethodResponse.encode({ result: payloadOf(await serve(...args.map(payloadValue))), node: "" });
    } catch (thrown) {
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      throw new Fault("METHOD_FAILED", text, { cause: thrown });
    }
  }
}
