import { Buffer } from "node:buffer";
import { type Address, formatAddress } from "../base/address.ts";
import { Fault } from "../base/fault.ts";
import { RedisErrorReply, type RedisReply } from "../functions/shard-redis.ts";
import { parseRedirection } from "../topology/redirection.ts";
import type { Slot } from "../topology/topology.ts";
import { slotOf } from "./key-slot.ts";
import type { RedisEndpoint } from "./redis-endpoint.ts";
import { RespConnection } from "./resp-connection.ts";

/** A reply, and the connection it came over. */
export interface StoreReply {
  readonly reply: Exclude<RedisReply, RedisErrorReply>;
  readonly connection: RespConnection;
}

interface Node {
  readonly address: Address;
  readonly connection: RespConnection;
  /** Resolves when the first attempt to connect is over, whatever came of it. */
  readonly attempted: Promise<void>;
}

/** Of a command that Redis answers at once. Unit: ms. */
export const REPLY_TIMEOUT_MS = 2000;
const MAX_REDIRECTIONS = 4;
/** Nodes that are kept a connection to; among more of them are some that left the cluster. */
const MAX_NODES = 1024;

export interface StoreClientOptions {
  /** What CLIENT LIST shows. */
  readonly name?: string;
  /** See RespConnectionLimits. */
  readonly replyTimeoutMs?: number;
  /** See RespConnectionOptions. */
  readonly replied?: (tookMs: number) => void;
  /** Who has a slot, as far as is known: otherwise our own Redis is asked first. */
  readonly ownerOf?: (slot: Slot) => Address | undefined;
}

/**
 * The way to gearmesh's own keys, wherever in the cluster they are: it begins with our own Redis, follows MOVED, and remembers. Ours and not
 * ioredis's Cluster, since that one queues for a node that is away and sends again what was lost with a connection, so its
 * errors do not tell whether a write happened.
 */
export class StoreClient {
  readonly #endpoint: RedisEndpoint;
  readonly #onError: (error: Error) => void;
  readonly #options: Required<StoreClientOptions>;
  readonly #nodes = new Map<string, Node>();
  readonly #owners = new Map<Slot, Address>();
  #isClosed = false;

  /** `onError`: told why a connection failed or was lost; it is opened again. */
  constructor(endpoint: RedisEndpoint, onError: (error: Error) => void, options: StoreClientOptions = {}) {
    this.#endpoint = endpoint;
    this.#onError = onError;
    this.#options = {
      name: "gearmesh:store",
      replyTimeoutMs: REPLY_TIMEOUT_MS,
      replied: () => undefined,
      ownerOf: () => undefined,
      ...options,
    };
  }

  /**
   * Sends a command to the owner of `key`. Rejects with UNAVAILABLE where it did not run, which an error reply says too, or RESOURCE_EXHAUSTED where that Redis has no memory for it, and with
   * INDETERMINATE where it may have run.
   */
  command(key: string, args: readonly (string | Uint8Array)[]): Promise<StoreReply> {
    return this.commandInSlot(slotOf(Buffer.from(key)), args);
  }

  /** As `command`, to the owner of a slot that is known: to find that of a key costs as much as encoding half of the command. */
  async commandInSlot(slot: Slot, args: readonly (string | Uint8Array)[]): Promise<StoreReply> {
    let address = this.#owners.get(slot) ?? this.#options.ownerOf(slot) ?? this.#endpoint;
    let isAsking = false;
    for (let redirections = 0; redirections <= MAX_REDIRECTIONS; redirections++) {
      const { connection, attempted } = this.#nodeAt(address);
      if (connection.state.kind !== "ready") await attempted;
      // An owner that is gone may have a successor: our own Redis is asked anew the next time.
      if (connection.state.kind !== "ready") this.#owners.delete(slot);
      const reply = await (isAsking ? askingCommand(connection, args) : connection.command(args));
      if (!(reply instanceof RedisErrorReply)) return { reply, connection };
      const redirection = parseRedirection(reply.message);
      if (!redirection) throw refusal(address, reply);
      const { kind, target } = redirection;
      address = { ...target, host: target.host || address.host };
      isAsking = kind === "ask";
      if (!isAsking) this.#owners.set(slot, address);
    }
    this.#owners.delete(slot);
    throw new Fault("UNAVAILABLE", `Redis redirects without end: slot ${slot} has no settled owner`);
  }

  /** The same to one node, for a command without keys. */
  async commandAt(address: Address, args: readonly (string | Uint8Array)[]): Promise<StoreReply["reply"]> {
    const { connection, attempted } = this.#nodeAt(address);
    await attempted;
    const reply = await connection.command(args);
    if (reply instanceof RedisErrorReply) throw refusal(address, reply);
    return reply;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { connection } of this.#nodes.values()) connection.close();
    this.#nodes.clear();
  }

  #nodeAt(address: Address): Node {
    if (this.#isClosed) throw new Fault("UNAVAILABLE", "the coordinator is shutting down");
    const key = formatAddress(address);
    let node = this.#nodes.get(key);
    if (!node) {
      this.#closeStrays();
      node = this.#open(address);
      this.#nodes.set(key, node);
    }
    return node;
  }

  #open(address: Address): Node {
    const attempted = Promise.withResolvers<void>();
    const connection = new RespConnection(this.#endpointAt(address), {
      name: this.#options.name,
      limits: { replyTimeoutMs: this.#options.replyTimeoutMs },
      replied: this.#options.replied,
      onState: (state) => {
        if (state.kind !== "connecting") attempted.resolve();
        if (state.kind === "waiting") this.#onError(new Error(`${formatAddress(address)}: ${state.reason}`));
      },
    });
    connection.connect();
    return { address, connection, attempted: attempted.promise };
  }

  /** The Unix socket is our own Redis' alone. */
  #endpointAt({ host, port }: Address): RedisEndpoint {
    const { socketPath, ...others } = this.#endpoint;
    if (host === others.host && port === others.port) return this.#endpoint;
    return { ...others, host, port };
  }

  /** Nodes that left the cluster would be tried for ever. */
  #closeStrays(): void {
    if (this.#nodes.size < MAX_NODES) return;
    for (const { connection } of this.#nodes.values()) connection.close();
    this.#nodes.clear();
  }
}

/** One after the other in one turn, so that nothing comes between them. */
async function askingCommand(connection: RespConnection, args: readonly (string | Uint8Array)[]): Promise<RedisReply> {
  const [, reply] = await Promise.all([connection.command(["ASKING"]), connection.command(args)]);
  return reply;
}

/** An error reply says that the command did nothing. */
function refusal(address: Address, { message }: RedisErrorReply): Fault {
  const code = message.startsWith("OOM ") ? "RESOURCE_EXHAUSTED" : "UNAVAILABLE";
  return new Fault(code, `Redis at ${formatAddress(address)} refused: ${message}`);
}
