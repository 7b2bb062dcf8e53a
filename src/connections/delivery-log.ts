import { Buffer } from "node:buffer";
import { WireReader, WireWriter } from "../base/wire.ts";
import { delivery } from "./session-codec.ts";

export interface DeliveryLimits {
  /** Deliveries that are kept for a client which reads slowly, or is away. */
  readonly maxCount: number;
  /** Their bytes. */
  readonly maxBytes: number;
}

const SEQUENCE = 1;
/** What the number adds to a delivery, at most. */
const SEQUENCE_BYTES = 9;
/** What each delivery takes in a message beside its own bytes, at most. */
const FIELD_BYTES = 8;

/**
 * What is for one client, numbered, until the client says that it has it. It is kept within bounds, the newest of it: what is dropped leaves a gap in the numbers, and when it
 * is the gap's turn the client is told how many it missed. A client that lost its link says where it was, and the log goes on behind that; so nothing comes twice.
 */
export class DeliveryLog {
  readonly #limits: DeliveryLimits;
  /** Encoded deliveries, by sequence. */
  readonly #kept = new Map<number, Uint8Array>();
  #bytes = 0;
  #lastSequence: number;
  /** The last one that was handed out. */
  #sent: number;
  /** That nobody knows what was missed, until the client has it: it comes before all that is kept, and gives way to nothing. */
  #unknownAt: number | undefined;

  /** Goes on behind `lastSequence`. */
  constructor(limits: DeliveryLimits, lastSequence = 0) {
    this.#limits = limits;
    this.#lastSequence = lastSequence;
    this.#sent = lastSequence;
  }

  /** What another node kept of it: `sent` is the last one that the client has. */
  static restored(
    limits: DeliveryLimits,
    sent: number,
    { lastSequence, deliveries }: { readonly lastSequence: number; readonly deliveries: readonly Uint8Array[] },
  ): DeliveryLog {
    const log = new DeliveryLog(limits, lastSequence);
    log.#sent = Math.min(sent, lastSequence);
    const [first, ...others] = deliveries;
    if (!first) return log;
    const { sequence, missed } = delivery.decode(first);
    if (missed?.unknown) log.#unknownAt = sequence;
    else log.#keep(sequence, Buffer.from(first));
    for (const encoded of others) log.#keep(sequenceOf(encoded), Buffer.from(encoded));
    return log;
  }

  /** One whose predecessor is lost, behind what the client has of it: first of all the client is told that nobody knows what it missed. */
  static afterLoss(limits: DeliveryLimits, received: number): DeliveryLog {
    const log = new DeliveryLog(limits, received);
    log.#unknownAt = ++log.#lastSequence;
    return log;
  }

  /** How many are kept. */
  get size(): number {
    return this.#kept.size;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** `content`: an encoded Delivery without its sequence, which may be shared by many logs. */
  push(content: Uint8Array): void {
    const sequence = ++this.#lastSequence;
    this.#keep(sequence, Buffer.concat([new WireWriter(16).uint(SEQUENCE, sequence).finish(), content]));
  }

  /** The next encoded Delivery for the client; undefined: it has been handed everything. */
  next(): Uint8Array | undefined {
    if (this.#sent >= this.#lastSequence) return undefined;
    const next = this.#at(this.#sent + 1);
    if (next) {
      this.#sent++;
      return next;
    }
    const from = this.#sent;
    while (this.#sent < this.#lastSequence && !this.#at(this.#sent + 1)) this.#sent++;
    return noticeOf({ sequence: this.#sent, count: this.#sent - from, unknown: false });
  }

  /** The client has everything up to this one. */
  received(sequence: number): void {
    const last = Math.min(sequence, this.#sent);
    if (this.#unknownAt !== undefined && this.#unknownAt <= last) this.#unknownAt = undefined;
    for (const [kept, encoded] of this.#kept) {
      if (kept > last) return;
      this.#drop(kept, encoded);
    }
  }

  /** The client has lost its link, and what was handed out since `received` with it. */
  resume(received: number): void {
    this.#sent = Math.min(received, this.#sent);
    this.received(received);
  }

  /** Whether there is room for one of this size, however little else is kept. */
  takes(content: Uint8Array): boolean {
    return content.length + SEQUENCE_BYTES <= this.#limits.maxBytes;
  }

  /** What is kept behind `sequence`, in order: as many of the last ones as fit into `maxBytes` of one message. */
  behind(sequence: number, maxBytes = Number.POSITIVE_INFINITY): Uint8Array[] {
    const kept = [...this.#kept].filter(([number]) => number > sequence).map(([, encoded]) => encoded);
    let bytes = 0;
    const tooOld = kept.findLastIndex((encoded) => {
      bytes += encoded.length + FIELD_BYTES;
      return bytes > maxBytes;
    });
    const fitting = kept.slice(tooOld + 1);
    const notice = this.#unknownAt !== undefined && this.#unknownAt > sequence && this.#at(this.#unknownAt);
    return notice ? [notice, ...fitting] : fitting;
  }

  #at(sequence: number): Uint8Array | undefined {
    if (sequence === this.#unknownAt) return noticeOf({ sequence, count: 0, unknown: true });
    return this.#kept.get(sequence);
  }

  #keep(sequence: number, encoded: Uint8Array): void {
    // One that is too large by itself is missed, and drops no other.
    if (encoded.length > this.#limits.maxBytes) return;
    this.#kept.set(sequence, encoded);
    this.#bytes += encoded.length;
    for (const [oldest, dropped] of this.#kept) {
      if (this.#kept.size <= this.#limits.maxCount && this.#bytes <= this.#limits.maxBytes) return;
      this.#drop(oldest, dropped);
    }
  }

  #drop(sequence: number, encoded: Uint8Array): void {
    this.#kept.delete(sequence);
    this.#bytes -= encoded.length;
  }
}

/** It has the number of the last one that was missed: who has it misses no less for asking again. */
function noticeOf({
  sequence,
  ...missed
}: {
  readonly sequence: number;
  readonly count: number;
  readonly unknown: boolean;
}): Uint8Array {
  return delivery.encode({ sequence, message: undefined, roomMessage: undefined, missed });
}

function sequenceOf(encoded: Uint8Array): number {
  const reader = new WireReader(encoded);
  while (reader.next()) if (reader.field === SEQUENCE) return reader.uint();
  return 0;
}
