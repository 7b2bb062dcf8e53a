import net from "node:net";
import { type BackoffLimits, backoffMs } from "../base/backoff.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import { type CommandOptions, RedisErrorReply, type RedisReply, type ShardRedis } from "../functions/shard-redis.ts";
import { PendingReplies } from "./pending-replies.ts";
import { formatEndpoint, type RedisCredentials, type RedisEndpoint } from "./redis-endpoint.ts";
import { RespDecodeError, RespDecoder } from "./resp-decoder.ts";
import { encodeCommand } from "./resp-encoder.ts";
import { SocketDescriptor } from "./socket-descriptor.ts";

export interface RespConnectionLimits {
  /** Commands that may wait for a reply. */
  readonly maxPending: number;
  /** Bytes of the commands that may wait for a reply. */
  readonly maxPendingBytes: number;
  /** Largest reply; a larger one ends the connection, since the rest of it would have to be read all the same. */
  readonly maxReplyBytes: number;
  /** How long connecting may take, greeting included. Unit: ms. */
  readonly connectTimeoutMs: number;
  /** A Redis that leaves a command unanswered for one to two times this long is taken for hung. Unit: ms. */
  readonly replyTimeoutMs: number;
  readonly reconnect: BackoffLimits;
}

const DEFAULT_LIMITS: RespConnectionLimits = {
  maxPending: 4096,
  maxPendingBytes: 64 * 1024 * 1024,
  maxReplyBytes: 128 * 1024 * 1024,
  connectTimeoutMs: 2000,
  replyTimeoutMs: 30_000,
  reconnect: { initialMs: 50, maxMs: 1000 },
};

/** A frame of at most so much is copied to leave together with others. */
const SMALL_BYTES = 16 * 1024;

/** Holds for the command behind it. */
const ASKING = encodeCommand(["ASKING"]);

export type RespConnectionState =
  /** `connect` was not called yet. */
  | { readonly kind: "idle" }
  | { readonly kind: "connecting"; readonly socket: net.Socket; readonly decoder: RespDecoder }
  | {
      readonly kind: "ready";
      readonly socket: net.Socket;
      readonly decoder: RespDecoder;
      readonly descriptor: SocketDescriptor;
    }
  /** Until the next attempt; `reason` says why the last one, or the connection, ended. */
  | { readonly kind: "waiting"; readonly reason: string }
  | { readonly kind: "closed" };

export interface RespConnectionOptions {
  /** What CLIENT LIST shows; without spaces. */
  readonly name: string;
  readonly limits?: Partial<RespConnectionLimits>;
  /** Asked anew for each connection, once it stands; where it rejects, the attempt fails. Default: those of the endpoint. */
  readonly credentials?: () => Promise<RedisCredentials>;
  /** Called after each change of state. */
  readonly onState?: (state: RespConnectionState) => void;
  /** Told with each reply to `command` how long Redis took for it. */
  readonly replied?: (tookMs: number) => void;
}

/**
 * One RESP3 connection that connects again by itself until it is closed. Ours and not ioredis, since functions must get
 * integers, doubles, sets and maps back as what they are (see RespDecoder); it is also the hot path of every block.
 */
export class RespConnection implements ShardRedis {
  readonly #endpoint: RedisEndpoint;
  readonly #name: string;
  readonly #limits: RespConnectionLimits;
  readonly #credentials: () => Promise<RedisCredentials>;
  readonly #onState: ((state: RespConnectionState) => void) | undefined;
  readonly #replied: ((tookMs: number) => void) | undefined;
  readonly #pending = new PendingReplies();
  #state: RespConnectionState = { kind: "idle" };
  #attempt = 0;
  /** Runs while connecting and while waiting, never both. */
  #timer: NodeJS.Timeout | undefined;
  #stallWatch: NodeJS.Timeout | undefined;
  /** Of `command`, until they leave at the end of this turn; undefined where nothing is to leave. */
  #leaving: Buffer[] | undefined;
  /** Of commandNow, whose commands leave once the innermost of them waits. */
  #unsent: Buffer[] = [];
  #waiters: PromiseWithResolvers<void>[] = [];

  constructor(endpoint: RedisEndpoint, { name, limits, credentials, onState, replied }: RespConnectionOptions) {
    this.#endpoint = endpoint;
    this.#name = name;
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#credentials = credentials ?? (async () => endpoint);
    this.#onState = onState;
    this.#replied = replied;
  }

  get state(): RespConnectionState {
    return this.#state;
  }

  /** Starts connecting; does nothing once that was done. */
  connect(): void {
    if (this.#state.kind === "idle") this.#open();
  }

  /** Resolves at once or with the next greeting that succeeds; rejects with UNAVAILABLE when the connection is closed for good. */
  whenReady(): Promise<void> {
    if (this.#state.kind === "ready") return Promise.resolve();
    if (this.#state.kind === "closed") return Promise.reject(this.#unavailable());
    const waiter = Promise.withResolvers<void>();
    this.#waiters.push(waiter);
    return waiter.promise;
  }

  /**
   * Sends one command. Resolves with the reply, error replies included; rejects with UNAVAILABLE where it was not sent, INDETERMINATE where
   * the connection was lost before the reply, and RESOURCE_EXHAUSTED at a bound of the limits.
   */
  command(args: readonly (string | Uint8Array)[]): Promise<RedisReply> {
    // Once Redis has ended the connection, `close` follows: until then the socket takes no more.
    if (this.#state.kind !== "ready" || !this.#state.socket.writable) return Promise.reject(this.#unavailable());
    if (args.length === 0) return Promise.reject(new Fault("INVALID_ARGUMENT", "a command needs a name"));
    const frame = encodeCommand(args);
    const { maxPending, maxPendingBytes } = this.#limits;
    if (this.#pending.count >= maxPending || this.#pending.bytes + frame.length > maxPendingBytes) {
      const bound = `${maxPending} commands and ${maxPendingBytes} bytes may wait for a reply`;
      return Promise.reject(new Fault("RESOURCE_EXHAUSTED", `Redis at ${this.#where()} is too far behind: ${bound}`));
    }
    return this.#send(this.#state.socket, frame);
  }

  /**
   * See ShardRedis. Reads and writes the socket's descriptor itself; the event loop, which gets no turn meanwhile, finds nothing left to
   * read.
   */
  commandNow(
    args: readonly (string | Uint8Array)[],
    waitMs: number,
    { asking = false, meanwhile }: CommandOptions = {},
  ): RedisReply {
    const { state } = this;
    if (state.kind !== "ready" || !state.socket.writable) throw this.#unavailable();
    const { socket, decoder, descriptor } = state;
    const frame = encodeCommand(args);
    let outcome: RedisReply | Fault | undefined;
    const settle = (settled: RedisReply | Fault): void => {
      outcome = settled;
    };
    if (asking) {
      this.#pending.push(ASKING.length, ignored, ignored);
      this.#unsent.push(ASKING);
    }
    this.#pending.push(frame.length, settle, settle);
    this.#unsent.push(frame);
    while (outcome === undefined && meanwhile?.());
    // What had its turn meanwhile may have taken long, and is not to be held against Redis.
    const giveUpMs = monotonicMs() + waitMs;
    try {
      if (outcome === undefined) descriptor.write(this.#takeUnsent(), giveUpMs);
      while (outcome === undefined) this.#decode(socket, decoder, descriptor.read(giveUpMs));
    } catch (error) {
      this.#abandon(socket, error instanceof Error ? error.message : String(error));
    }
    if (outcome instanceof Fault) throw outcome;
    return outcome ?? null;
  }

  #takeUnsent(): Buffer {
    const [frame, ...others] = this.#unsent;
    this.#unsent = [];
    return frame && others.length === 0 ? frame : Buffer.concat(frame ? [frame, ...others] : []);
  }

  /** Ends the connection for good; what was sent and not answered rejects with INDETERMINATE. Idempotent. */
  close(): void {
    const { state } = this;
    if (state.kind === "closed") return;
    this.#release("the connection was closed");
    if ("socket" in state) state.socket.destroy();
    this.#enter({ kind: "closed" });
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#unavailable());
  }

  #enter(state: RespConnectionState): void {
    this.#state = state;
    this.#onState?.(state);
  }

  #open(): void {
    const { host, port, socketPath } = this.#endpoint;
    const socket = net.connect(socketPath === undefined ? { host, port } : { path: socketPath });
    socket.setNoDelay(true);
    socket.setKeepAlive(true);
    const decoder = new RespDecoder((reply) => this.#answer(socket, reply), this.#limits.maxReplyBytes);
    socket.on("data", (chunk: Buffer) => this.#decode(socket, decoder, chunk));
    socket.once("connect", () => void this.#greet(socket, decoder));
    let reason = "the connection was closed by Redis";
    socket.on("error", (error) => {
      reason = error.message || reason; // an AggregateError of several addresses has no text
    });
    socket.once("close", () => this.#lost(socket, reason));
    const { connectTimeoutMs } = this.#limits;
    const late = `it did not answer within ${connectTimeoutMs} ms`;
    this.#timer = setTimeout(() => this.#abandon(socket, late), connectTimeoutMs);
    this.#enter({ kind: "connecting", socket, decoder });
  }

  async #greet(socket: net.Socket, decoder: RespDecoder): Promise<void> {
    try {
      const { username = "default", password } = await this.#credentials();
      if (!this.#isConnecting(socket)) return;
      const auth = password === undefined ? [] : ["AUTH", username, password];
      const reply = await this.#send(socket, encodeCommand(["HELLO", "3", ...auth, "SETNAME", this.#name]));
      if (reply instanceof RedisErrorReply) this.#abandon(socket, reply.message);
      else if (this.#isConnecting(socket)) this.#greeted(socket, decoder);
    } catch (error) {
      // Where the connection was lost before the answer, that was reported already, and this says nothing more.
      this.#abandon(socket, Fault.from(error).message);
    }
  }

  /** Whether it was neither given up nor closed meanwhile. */
  #isConnecting(socket: net.Socket): boolean {
    return this.#state.kind === "connecting" && this.#state.socket === socket;
  }

  #greeted(socket: net.Socket, decoder: RespDecoder): void {
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#watchForStall(socket);
    this.#enter({ kind: "ready", socket, decoder, descriptor: new SocketDescriptor(socket) });
    for (const waiter of this.#waiters.splice(0)) waiter.resolve();
  }

  /** One tick per timeout instead of one timer per command: commands are far too many. */
  #watchForStall(socket: net.Socket): void {
    const { replyTimeoutMs } = this.#limits;
    let answered = -1;
    this.#stallWatch = setInterval(() => {
      const stalled = this.#pending.count > 0 && this.#pending.answered === answered;
      answered = this.#pending.count > 0 ? this.#pending.answered : -1;
      if (stalled) this.#abandon(socket, `a command was not answered within ${replyTimeoutMs} ms`);
    }, replyTimeoutMs);
    this.#stallWatch.unref();
  }

  #send(socket: net.Socket, frame: Buffer): Promise<RedisReply> {
    return new Promise((resolve, reject) => {
      this.#pending.push(frame.length, this.#timed(resolve), reject);
      if (this.#leaving) {
        this.#leaving.push(frame);
        return;
      }
      const frames = [frame];
      this.#leaving = frames;
      process.nextTick(() => this.#leave(socket, frames));
    });
  }

  #timed(resolve: (reply: RedisReply) => void): (reply: RedisReply) => void {
    const replied = this.#replied;
    if (!replied) return resolve;
    const sentMs = monotonicMs();
    return (reply) => {
      replied(monotonicMs() - sentMs);
      resolve(reply);
    };
  }

  /** Commands of one turn leave in one write: small ones as one piece, since each piece costs as much as copying kilobytes. */
  #leave(socket: net.Socket, frames: readonly Buffer[]): void {
    if (this.#leaving === frames) this.#leaving = undefined;
    socket.cork();
    for (const piece of joined(frames)) socket.write(piece);
    socket.uncork();
  }

  #decode(socket: net.Socket, decoder: RespDecoder, chunk: Buffer): void {
    try {
      decoder.write(chunk);
    } catch (error) {
      if (!(error instanceof RespDecodeError)) throw error;
      // The command whose reply it is did run: its caller learns that, the others only that theirs is unknown.
      if (error.reason === "too-large") this.#pending.fail(new Fault("RESOURCE_EXHAUSTED", error.message));
      this.#abandon(socket, error.message);
    }
  }

  #answer(socket: net.Socket, reply: RedisReply): void {
    if (!this.#pending.answer(reply)) this.#abandon(socket, "Redis sent a reply that nothing asked for");
  }

  /** Ends a connection that is of no more use, at once: `close` comes a turn later. */
  #abandon(socket: net.Socket, reason: string): void {
    socket.destroy();
    this.#lost(socket, reason);
  }

  #lost(socket: net.Socket, reason: string): void {
    if (!("socket" in this.#state) || this.#state.socket !== socket) return;
    this.#release(reason);
    this.#timer = setTimeout(() => this.#open(), backoffMs(this.#attempt++, this.#limits.reconnect));
    this.#enter({ kind: "waiting", reason }); // last: the listener may close the connection
  }

  /** Stops the clocks and settles what was sent on the connection that is over. */
  #release(reason: string): void {
    clearTimeout(this.#timer);
    clearInterval(this.#stallWatch);
    const text = `Redis at ${this.#where()} did not answer before its connection was lost: ${reason}`;
    this.#unsent = [];
    this.#leaving = undefined;
    this.#pending.failAll(new Fault("INDETERMINATE", text));
  }

  #where(): string {
    return formatEndpoint(this.#endpoint);
  }

  #unavailable(): Fault {
    const reason = this.#state.kind === "waiting" ? `: ${this.#state.reason}` : "";
    return new Fault("UNAVAILABLE", `Redis at ${this.#where()} is not reachable${reason}`);
  }
}

/** Runs of small frames as one. */
function* joined(frames: readonly Buffer[]): Generator<Buffer, void, undefined> {
  let small: Buffer[] = [];
  for (const frame of frames) {
    if (frame.length <= SMALL_BYTES) {
      small.push(frame);
      continue;
    }
    if (small.length > 0) yield Buffer.concat(small);
    small = [];
    yield frame;
  }
  if (small.length > 0) yield small.length === 1 ? (small[0] as Buffer) : Buffer.concat(small);
}

function ignored(): void {
  // Where it went wrong, so does the command behind it.
}
