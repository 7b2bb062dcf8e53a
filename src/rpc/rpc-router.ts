import { type CallContext, nestedContext } from "../base/call-context.ts";
import { remainingMs } from "../base/deadline.ts";
import { decodeRequest } from "../base/decode-request.ts";
import { Fault } from "../base/fault.ts";
import { boundedFaultText } from "../base/fault-text.ts";
import { checkPayload } from "../base/json-payload.ts";
import {
  encodeRpcResponse,
  type RpcCallRequest,
  type RpcTarget,
  type RunMethodRequest,
  rpcCallRequest,
  rpcReply,
  runMethodRequest,
} from "./rpc-codec.ts";
import type { RpcNode, RpcNodes } from "./rpc-nodes.ts";

/** `gearmesh.v1.RpcWait`. Not named: all. */
const WAIT_NONE = 1;
const WAIT_FIRST = 2;
const LAST_WAIT = 3;

/** Calls without a wait that may be under way; each takes a place on the links. */
const MAX_UNAWAITED = 1024;

/** So long before the end of its caller's own time a call of all nodes ends, so that the replies that are there still reach the caller. Unit: ms. */
const GATHERING_MS = 20;

export interface RpcRouterParts {
  readonly nodes: RpcNodes;
  /** For calls that name no other. Unit: ms. */
  readonly rpcTimeoutMs: number;
  readonly isForAdmins: (method: string) => boolean;
  /** A caller without the scope `admin` was refused a method that is for admins. */
  readonly refused: () => void;
}

/** Takes calls of methods to the nodes they are meant for and gathers what these reply. */
export class RpcRouter {
  readonly #parts: RpcRouterParts;
  #inFlight = 0;
  #unawaited = 0;

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
    this.#authorize(request, context);
    const { wait, target } = request;
    const bounded = nestedContext(context, Math.min(request.timeoutMs || this.#parts.rpcTimeoutMs, untilLate(context)));
    if (wait === WAIT_NONE && this.#unawaited >= MAX_UNAWAITED) {
      throw new Fault(
        "RESOURCE_EXHAUSTED",
        `${MAX_UNAWAITED} calls that nobody waits for are under way; try again later`,
      );
    }
    const isOne = target !== undefined && target.all === undefined;
    const attempts = isOne ? [this.#one(request, target, bounded)] : this.#all(request, bounded);
    if (wait === WAIT_NONE) {
      for (const { reply } of attempts) this.#letGo(reply);
      return encodeRpcResponse([], attempts.length);
    }
    const [only] = attempts;
    const replies = isOne && only ? [await only.reply] : await gathered(attempts, wait);
    return encodeRpcResponse(replies, attempts.length);
  }

  /** Here, where it is known who asks, and before anything leaves: a call that is not waited for would hide a refusal. */
  #authorize({ method }: RpcCallRequest, { isAdmin = false }: CallContext): void {
    const { isForAdmins, refused } = this.#parts;
    if (isAdmin || !isForAdmins(method)) return;
    refused();
    throw new Fault("PERMISSION_DENIED", `the token is not for method ${method}, which needs the scope admin`);
  }

  #all(request: RpcCallRequest, context: CallContext): Attempt[] {
    const { nodes } = this.#parts;
    const run = this.#runOf(request);
    return nodes.all().map((node) => ({ node, reply: this.#counted(node.run(run, context)) }));
  }

  #one(request: RpcCallRequest, { connection, key, node: name = "" }: RpcTarget, context: CallContext): Attempt {
    const { nodes } = this.#parts;
    if (connection !== undefined) {
      const run = this.#runOf(request, connection);
      const reply = nodes.atHolder(connection, context, (node) => node.run(run, context));
      return { reply: this.#counted(reply) };
    }
    if (key !== undefined) {
      const atSlot = (node: RpcNode, slot: number) => node.run(this.#runOf(request, "", slot + 1), context);
      return { reply: this.#counted(nodes.atOwner(key, context, atSlot)) };
    }
    const node = nodes.byName(name);
    if (!node) throw new Fault("UNKNOWN_NODE", `no node goes by the name ${name}`);
    return { node, reply: this.#counted(node.run(this.#runOf(request), context)) };
  }

  /** Encoded once, for however many nodes. */
  #runOf({ method, args }: RpcCallRequest, connectionId = "", slotPlusOne = 0): RunMethodRequest {
    const run = { method, args, caller: this.#parts.nodes.here.name, connectionId, slotPlusOne };
    return { ...run, encoded: runMethodRequest.encode(run) };
  }

  /** Nobody waits for it, and no stream bounds it. */
  #letGo(reply: Promise<Uint8Array>): void {
    this.#unawaited++;
    const ended = (): void => {
      this.#unawaited--;
    };
    reply.then(ended, ended);
  }

  async #counted(reply: Promise<Uint8Array>): Promise<Uint8Array> {
    this.#inFlight++;
    try {
      return await reply;
    } catch (thrown) {
      throw worded(Fault.from(thrown));
    } finally {
      this.#inFlight--;
    }
  }
}

/** One node's part of a call. */
interface Attempt {
  /** Undefined where it is found only in the course of it. */
  readonly node?: RpcNode;
  /** The encoded RpcReply. Rejects with the node's fault. */
  readonly reply: Promise<Uint8Array>;
}

function untilLate({ deadline }: CallContext): number {
  const leftMs = remainingMs(deadline);
  return Math.max(leftMs - GATHERING_MS, 0.9 * leftMs);
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

/** The replies of all nodes, or the first result. Rejects with UNKNOWN_METHOD where no node knows the method. */
function gathered(attempts: readonly Attempt[], wait: number): Promise<readonly Uint8Array[]> {
  const { promise, resolve, reject } = Promise.withResolvers<readonly Uint8Array[]>();
  const replies: Uint8Array[] = [];
  const faults: Fault[] = [];
  const settle = (reply: Uint8Array): void => {
    replies.push(reply);
    if (replies.length < attempts.length) return;
    const [first] = faults;
    const isUnknown = faults.length === attempts.length && faults.every(({ code }) => code === "UNKNOWN_METHOD");
    if (first && isUnknown) reject(first);
    else resolve(replies);
  };
  for (const { node, reply } of attempts) {
    reply.then(wait === WAIT_FIRST ? (result) => resolve([result]) : settle, (fault: Fault) => {
      faults.push(fault);
      // A method that ran here may have thrown a text of any length, which no link has cut.
      const message = boundedFaultText(fault.message);
      settle(rpcReply.encode({ node: node?.name ?? "", result: undefined, fault: { code: fault.code, message } }));
    });
  }
  return promise;
}

/** The text that callers of the original expect. */
function worded(fault: Fault): Fault {
  return fault.code === "DEADLINE_EXCEEDED" ? new Fault("DEADLINE_EXCEEDED", "RPC Timeout", { cause: fault }) : fault;
}
