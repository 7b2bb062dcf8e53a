import type { Fault } from "../base/fault.ts";
import type { RedisReply } from "../functions/shard-redis.ts";

/** A command that was sent and waits for its reply. */
interface PendingReply {
  readonly bytes: number;
  resolve(reply: RedisReply): void;
  reject(fault: Fault): void;
  next: PendingReply | undefined;
}

/** Commands in the order they were sent, which is the order Redis answers them in. */
export class PendingReplies {
  #first: PendingReply | undefined;
  #last: PendingReply | undefined;
  #count = 0;
  #bytes = 0;
  #answered = 0;

  get count(): number {
    return this.#count;
  }

  /** Bytes of the commands that wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Replies since the beginning; stands still while Redis does. */
  get answered(): number {
    return this.#answered;
  }

  push(bytes: number, resolve: PendingReply["resolve"], reject: PendingReply["reject"]): void {
    const entry: PendingReply = { bytes, resolve, reject, next: undefined };
    if (this.#last) this.#last.next = entry;
    else this.#first = entry;
    this.#last = entry;
    this.#count++;
    this.#bytes += bytes;
  }

  /** Settles the oldest; false if none waits. */
  answer(reply: RedisReply): boolean {
    const entry = this.#shift();
    if (!entry) return false;
    this.#answered++;
    entry.resolve(reply);
    return true;
  }

  /** Fails the oldest alone; false if none waits. */
  fail(fault: Fault): boolean {
    const entry = this.#shift();
    entry?.reject(fault);
    return entry !== undefined;
  }

  failAll(fault: Fault): void {
    while (this.fail(fault));
  }

  #shift(): PendingReply | undefined {
    const entry = this.#first;
    if (!entry) return undefined;
    this.#first = entry.next;
    if (!this.#first) this.#last = undefined;
    this.#count--;
    this.#bytes -= entry.bytes;
    return entry;
  }
}
