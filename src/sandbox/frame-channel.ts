import { writeSync } from "node:fs";
import type { Duplex } from "node:stream";
import { Departure } from "../base/departure.ts";
import { descriptorOf } from "../base/descriptor.ts";

/** Bytes of a frame's length, which precedes it. */
const LENGTH_BYTES = 4;

/** A length beyond this is not a frame of ours: the other side is broken. */
const MAX_FRAME_BYTES = 1024 * 1024 * 1024;

export interface FrameReceiver {
  /** A whole frame; a view that stays valid. */
  frame(bytes: Buffer): void;
  /** The other side is gone. Called once. */
  ended(): void;
}

/** Length-prefixed frames over the socket between coordinator and sandbox process. What is queued leaves in one write; see Departure. */
export class FrameChannel {
  readonly #socket: Duplex;
  readonly #receiver: FrameReceiver;
  readonly #departure: Departure;
  #queued: Buffer[] = [];
  #queuedBytes = 0;
  /** Chunks that hold no whole frame yet, joined only once they do: a large frame comes in many. */
  #chunks: Buffer[] = [];
  #chunkBytes = 0;
  #neededBytes = LENGTH_BYTES;
  #isEnded = false;

  /** `isAlone`: whether no other run is under way than the one whose frame is sent. */
  constructor(socket: Duplex, receiver: FrameReceiver, isAlone: () => boolean = () => true) {
    this.#socket = socket;
    this.#receiver = receiver;
    this.#departure = new Departure(isAlone, () => this.#flush());
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    for (const event of ["end", "error", "close"]) socket.on(event, () => this.#end());
  }

  /** Bytes that the other side has not taken yet. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#socket.writableLength;
  }

  /** Sends nothing once the channel has ended. */
  send(frame: Buffer): void {
    if (this.#isEnded) return;
    this.#departure.schedule();
    this.#queued.push(frame);
    this.#queuedBytes += LENGTH_BYTES + frame.length;
  }

  #flush(): void {
    if (this.#queued.length === 0 || this.#isEnded) return;
    const bytes = Buffer.allocUnsafe(this.#queuedBytes);
    let at = 0;
    for (const frame of this.#queued) {
      bytes.writeUInt32BE(frame.length, at);
      bytes.set(frame, at + LENGTH_BYTES);
      at += LENGTH_BYTES + frame.length;
    }
    this.#queued = [];
    this.#queuedBytes = 0;
    const sent = this.#writeNow(bytes);
    if (sent < bytes.length) this.#socket.write(bytes.subarray(sent));
  }

  /** Past the stream, which takes twice as long. How much of it was written; the stream takes the rest, and says what is wrong if anything is. */
  #writeNow(bytes: Buffer): number {
    const descriptor = descriptorOf(this.#socket);
    if (descriptor === undefined || this.#socket.writableLength > 0) return 0;
    try {
      return writeSync(descriptor, bytes);
    } catch {
      return 0;
    }
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#chunkBytes += chunk.length;
    if (this.#chunkBytes < this.#neededBytes) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#chunkBytes);
    this.#neededBytes = LENGTH_BYTES;
    while (rest.length >= LENGTH_BYTES && !this.#isEnded) {
      const frameEnd = LENGTH_BYTES + rest.readUInt32BE(0);
      if (frameEnd > MAX_FRAME_BYTES) {
        this.close();
        return;
      }
      if (rest.length < frameEnd) {
        this.#neededBytes = frameEnd;
        break;
      }
      const frame = rest.subarray(LENGTH_BYTES, frameEnd);
      rest = rest.subarray(frameEnd);
      this.#receiver.frame(frame);
    }
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#chunkBytes = rest.length;
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#queued = [];
    this.#queuedBytes = 0;
    this.#receiver.ended();
  }
}

/** A frame as the channel sends it, for whoever writes without one. */
export function lengthPrefixed(frame: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + frame.length);
  bytes.writeUInt32BE(frame.length);
  bytes.set(frame, LENGTH_BYTES);
  return bytes;
}
