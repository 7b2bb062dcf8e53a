import { Buffer } from "node:buffer";
import { readSync, writeSync } from "node:fs";
import type { Socket } from "node:net";
import { monotonicMs } from "../base/deadline.ts";
import { descriptorOf } from "../base/descriptor.ts";

/** A Redis on this machine answers within this; whoever sleeps meanwhile is woken much later than that. Unit: ms. */
const AWAKE_MS = 0.2;

/** Longest sleep between two looks. Unit: ms. */
const MAX_SLEEP_MS = 1;

const READ_BYTES = 64 * 1024;

/**
 * A connected socket, read and written without the event loop. A block's command through the loop costs four changes of thread, each of
 * them as much as Redis itself; this way it costs none.
 */
export class SocketDescriptor {
  readonly #socket: Socket;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Writes all of it. Throws what the system says, or at `giveUpMs` (on the monotonic clock). */
  write(bytes: Uint8Array, giveUpMs: number): void {
    const descriptor = this.#descriptor();
    for (let sent = 0; sent < bytes.length; ) {
      sent += this.#untilReady(() => writeSync(descriptor, bytes, sent), giveUpMs);
    }
  }

  /** What has come, as soon as anything has. Throws at the end of the stream, what the system says, or at `giveUpMs`. */
  read(giveUpMs: number): Buffer {
    const descriptor = this.#descriptor();
    const length = this.#untilReady(() => readSync(descriptor, this.#buffer), giveUpMs);
    if (length === 0) throw new Error("the connection was closed by Redis");
    return Buffer.from(this.#buffer.subarray(0, length));
  }

  /** Throws where there is none to use: the socket is closed, or has data of its own to write yet. */
  #descriptor(): number {
    const descriptor = descriptorOf(this.#socket);
    if (descriptor === undefined || this.#socket.writableLength > 0) {
      throw new Error("the connection cannot be used outside of the event loop");
    }
    return descriptor;
  }

  /** The socket does not block: where it has nothing to give or no room, it says so, and is asked again. */
  #untilReady(transfer: () => number, giveUpMs: number): number {
    const startMs = monotonicMs();
    const { stackTraceLimit } = Error;
    // What it says comes as an error, several times a command; collecting their stacks would cost as much as the command.
    Error.stackTraceLimit = 0;
    try {
      for (;;) {
        const transferred = unlessNotReady(transfer);
        if (transferred !== undefined) return transferred;
        const now = monotonicMs();
        if (now >= giveUpMs) throw new Error("it did not answer in time");
        const waitedMs = now - startMs;
        if (waitedMs > AWAKE_MS) Atomics.wait(this.#sleeper, 0, 0, Math.min(MAX_SLEEP_MS, waitedMs / 4));
      }
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }
}

function unlessNotReady(transfer: () => number): number | undefined {
  try {
    return transfer();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return undefined;
    throw error;
  }
}
