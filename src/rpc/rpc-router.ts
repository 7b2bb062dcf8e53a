import { type CallContext, nestedContext } from "../base/call-context.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { checkPayload } from "../base/json-payload.ts";
import {
  type RpcCallRequest,
  type RpcReply,
  type RunMethodRequest,
  rpcCallRequest,
  rpcCallResponse,
} from "./rpc-codec.ts";
import type { RpcNode, RpcNodes } from "./rpc-nodes.ts";

/** `gearmesh.v1.RpcWait`. Not named: all. */
const WAIT_NONE = 1;
const WAIT_FIRST = 2;
const LAST_WAIT = 3;

export interface RpcRouterParts {
  readonly nodes: RpcNodes;
  /** For calls that name no other. Unit: ms. */
  readonly rpcTimeoutMs: number;
}

/** Takes calls of methods to the nodes they are meant for and gathers what these reply. */
export class RpcRouter {
  readonly #parts: RpcRouterParts;
  #inFlight = 0;

  constructor(parts: RpcRouterParts) {
    this.#parts = parts;
  }

  /** Methods that were asked for here and have not replied, over all nodes. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** A client's call: takes an encoded RpcServiceCallRequest, resolves with the encoded response. */
  async fromClient(body: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const request = decodeRequest(rpcCallRequest.decode, body);
    check(request);
    const { timeoutMs, wait, target } = request;
    const bounded = nestedContext(context, timeoutMs || this.#parts.rpcTimeoutMs);
    const attempts = this.#attempts(request, target ?? {}, bounded);
    if (wait === WAIT_NONE) {
      for (const { reply } of attempts) reply.catch(() => undefined);
      return rpcCallResponse.encode({ replies: [], nodes: attempts.length });
    }
    const isOne = target !== undefined && target.all === undefined;
    const replies = isOne ? [await attempts[0].reply] : await gathered(attempts, wait);
    return rpcCallResponse.encode({ replies, nodes: attempts.length });
  }

  #attempts(request: RpcCallRequest, target: Target, context: CallContext): [Attempt, ...Attempt[]] {
    const { nodes } = this.#parts;
    const run: RunMethodRequest = {
      method: request.method,
      args: request.args,
      caller: nodes.here.name,
      connectionId: target.connection ?? "",
      slotPlusOne: 0,
    };
    const { node: name, connection, key } = target;
    if (connection !== undefined) {
      return [
        this.#begin(
          connection,
          nodes.atHolder(connection, context, (node) => replyOf(node, run, context)),
        ),
      ];
    }
    if (key !== undefined) {
      const atSlot = (node: RpcNode, slot: number): Promise<RpcReply> =>
        replyOf(node, { ...run, slotPlusOne: slot + 1 }, context);
      return [this.#begin("", nodes.atOwner(key, context, atSlot))];
    }
    if (name !== undefined) {
      const node = nodes.byName(name);
      if (!node) throw new Fault("UNKNOWN_NODE", `no node goes by the name ${name}`);
      return [this.#begin(name, replyOf(node, run, context))];
    }
    const all = nodes.all().map((node) => this.#begin(node.name, replyOf(node, run, context)));
    return all as [Attempt, ...Attempt[]];
  }

  #begin(name: string, reply: Promise<RpcReply>): Attempt {
    this.#inFlight++;
    const settled = reply
      .catch((thrown: unknown) => {
        throw worded(Fault.from(thrown));
      })
      .finally(() => this.#inFlight--);
    return { name, reply: settled };
  }
}

type Target = Partial<NonNullable<RpcCallRequest["target"]>>;

/** One node's part of a call. */
interface Attempt {
  readonly name: string;
  /** Rejects with the node's fault. */
  readonly reply: Promise<RpcReply>;
}

function check({ method, args, target, wait }: RpcCallRequest): void {
  if (method === "") throw new Fault("INVALID_ARGUMENT", "name the method to call");
  if (wait > LAST_WAIT) throw new Fault("INVALID_ARGUMENT", `there is no wait ${wait}; see RpcWait in proto/`);
  const named = target ? [target.all, target.node, target.connection, target.key].filter((to) => to !== undefined) : [];
  if (target && named.length !== 1) {
    throw new Fault(
      "INVALID_ARGUMENT",
      "a target is all nodes, a node, a connection or a key; leave it out for all nodes",
    );
  }
  args.forEach(checkPayload);
}

async function replyOf(node: RpcNode, request: RunMethodRequest, context: CallContext): Promise<RpcReply> {
  const { result, node: name } = await node.run(request, context);
  return { node: name || node.name, result, fault: undefined };
}

/** The replies of all nodes, or the first result. Rejects with UNKNOWN_METHOD where no node knows the method. */
async function gathered(attempts: readonly Attempt[], wait: number): Promise<readonly RpcReply[]> {
  const faults = new Set<Fault>();
  const replies = attempts.map(({ name, reply }) =>
    reply.catch((fault: Fault): RpcReply => {
      faults.add(fault);
      return { node: name, result: undefined, fault: { code: fault.code, message: fault.message } };
    }),
  );
  if (wait === WAIT_FIRST) {
    const first = await Promise.any(attempts.map(({ reply }) => reply)).catch(() => undefined);
    if (first) return [first];
  }
  const all = await Promise.all(replies);
  const [unknown] = faults;
  if (unknown && faults.size === attempts.length && [...faults].every(({ code }) => code === "UNKNOWN_METHOD")) {
    throw unknown;
  }
  return all;
}

/** The text that callers of the original expect. */
function worded(fault: Fault): Fault {
  return fault.code === "DEADLINE_EXCEEDED" ? new Fault("DEADLINE_EXCEEDED", "RPC Timeout", { cause: fault }) : fault;
}
