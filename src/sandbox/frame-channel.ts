import type { Duplex } from "node:stream";
import { Departure } from "../base/departure.ts";

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
    this.#queued.push(lengthOf(frame), frame);
    this.#queuedBytes += LENGTH_BYTES + frame.length;
  }

  #flush(): void {
    if (this.#queued.length === 0 || this.#isEnded) return;
    this.#socket.write(Buffer.concat(this.#queued, this.#queuedBytes));
    this.#queued = [];
    this.#queuedBytes = 0;
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

function lengthOf(frame: Uint8Array): Buffer {
  const length = Buffer.allocUnsafe(LENGTH_BYTES);
  length.writeUInt32BE(frame.length);
  return length;
}

/** A frame as the channel sends it, for whoever writes without one. */
export function lengthPrefixed(frame: Uint8Array): Buffer {
  return Buffer.concat([lengthOf(frame), frame]);
}
