import { Departure } from "../base/departure.ts";
import { WireWriter } from "../base/wire.ts";
import type {
  CancelEnvelope,
  DeliveryEnvelope,
  FaultEnvelope,
  GoAwayEnvelope,
  PingEnvelope,
  PongEnvelope,
  ReceivedEnvelope,
  RequestEnvelope,
  ResponseEnvelope,
} from "./envelope.ts";
import { maxEncodedBytes, writeEnvelope } from "./frame-codec.ts";
import type { FrameStream } from "./frame-stream.ts";

/** A frame takes no further envelope beyond this. Unit: bytes. */
export const FRAME_BYTES = 256 * 1024;

/** What overtakes calls: small, and it would be too late behind them. */
export type UrgentEnvelope = CancelEnvelope | PingEnvelope | PongEnvelope | GoAwayEnvelope | ReceivedEnvelope;

export interface OutboxParts<Bulk> {
  readonly stream: Pick<FrameStream, "send">;
  /** Whether no other request of the stream is under way than the one whose envelope is pushed. */
  readonly isAlone: () => boolean;
  /** The envelope is about to be written into a frame, and cannot be withdrawn any more. */
  readonly departing?: (envelope: Bulk) => void;
  /** All that waited was handed to the stream. */
  readonly emptied?: () => void;
}

/**
 * What waits to be sent on one stream. All that is queued until it leaves (see Departure) is in one frame: a write for each
 * envelope costs four times as much. While the stream holds back, the queue grows up to the bounds its callers name.
 */
export class Outbox<Bulk extends RequestEnvelope | ResponseEnvelope | FaultEnvelope | DeliveryEnvelope> {
  readonly #parts: OutboxParts<Bulk>;
  readonly #departure: Departure;
  #urgent: UrgentEnvelope[] = [];
  /** A set, since a request that is given up while it waits must leave from the middle. */
  readonly #bulk = new Set<Bulk>();
  #bytes = 0;
  #state: "open" | "blocked" | "closed" = "open";

  constructor(parts: OutboxParts<Bulk>) {
    this.#parts = parts;
    this.#departure = new Departure(parts.isAlone, () => this.#flush());
  }

  get empty(): boolean {
    return this.#urgent.length === 0 && this.#bulk.size === 0;
  }

  /** Of what is not urgent. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  /** False, and nothing queued, where more than `maxBytes` would wait or the stream is gone. */
  push(envelope: Bulk, maxBytes: number): boolean {
    const bytes = maxEncodedBytes(envelope);
    if (this.#state === "closed" || this.#bytes + bytes > maxBytes) return false;
    this.#bulk.add(envelope);
    this.#bytes += bytes;
    this.#schedule();
    return true;
  }

  /** Like `push`, for what goes first. */
  pushUrgent(envelope: UrgentEnvelope, maxWaiting: number): boolean {
    if (this.#state === "closed" || this.#urgent.length >= maxWaiting) return false;
    this.#urgent.push(envelope);
    this.#schedule();
    return true;
  }

  /** Takes back what still waits; false where it has left. */
  withdraw(envelope: Bulk): boolean {
    if (!this.#bulk.delete(envelope)) return false;
    this.#bytes -= maxEncodedBytes(envelope);
    return true;
  }

  /** The stream takes frames again. */
  drain(): void {
    if (this.#state !== "blocked") return;
    this.#state = "open";
    this.#flush();
  }

  /** Drops what waits, and whatever comes. */
  close(): void {
    this.#state = "closed";
    this.#urgent = [];
    this.#bulk.clear();
    this.#bytes = 0;
  }

  #schedule(): void {
    if (this.#state === "open") this.#departure.schedule();
  }

  #flush(): void {
    while (this.#state === "open" && !this.empty) {
      const frame = this.#frame();
      if (!this.#parts.stream.send(frame) && this.#state === "open") this.#state = "blocked";
    }
    if (this.empty) this.#parts.emptied?.();
  }

  #frame(): Uint8Array {
    const urgent = this.#urgent.splice(0, MAX_URGENT);
    const writer = new WireWriter(Math.min(this.#bytes, FRAME_BYTES) + URGENT_BYTES * (urgent.length + 1));
    for (const envelope of urgent) writeEnvelope(writer, envelope);
    for (const envelope of this.#bulk) {
      const bytes = maxEncodedBytes(envelope);
      if (writer.length > 0 && writer.length + bytes > FRAME_BYTES) break;
      this.#bulk.delete(envelope);
      this.#bytes -= bytes;
      this.#parts.departing?.(envelope);
      writeEnvelope(writer, envelope);
    }
    return writer.finish();
  }
}

/** Urgent envelopes in one frame: so many cancels at once are rare, and a frame is refused that has too many envelopes. */
const MAX_URGENT = 16_384;

/** About what an urgent envelope takes; a frame whose buffer turns out too small grows. */
const URGENT_BYTES = 32;
