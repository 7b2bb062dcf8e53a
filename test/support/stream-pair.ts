import type { FrameStream, FrameStreamEvents } from "../../src/mesh/frame-stream.ts";

/** One end of a pair; what it sends arrives at the other end in a later microtask, in order. */
export class PairedStream implements FrameStream {
  readonly remoteAddress = "pair";
  /** Every frame this end sent. */
  readonly sent: Uint8Array[] = [];
  /** What this end was closed with, if it was. */
  closedWith: Error | undefined;
  #other: PairedStream | undefined;
  #events: FrameStreamEvents | undefined;
  #held: Uint8Array[] | undefined;
  #over = false;

  static create(): readonly [PairedStream, PairedStream] {
    const [a, b] = [new PairedStream(), new PairedStream()];
    a.#other = b;
    b.#other = a;
    return [a, b];
  }

  get over(): boolean {
    return this.#over;
  }

  listen(events: FrameStreamEvents): void {
    this.#events = events;
  }

  send(frame: Uint8Array): boolean {
    if (this.#over) return false;
    this.sent.push(frame);
    if (this.#held !== undefined) {
      this.#held.push(frame);
      return false;
    }
    this.#deliver(frame);
    return true;
  }

  /** From now on frames wait here, and the sender is told so. */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets what waits go on. */
  release(): void {
    const frames = this.#held ?? [];
    this.#held = undefined;
    for (const frame of frames) this.#deliver(frame);
    if (!this.#over) this.#events?.drain();
  }

  close(fault?: Error): void {
    if (this.#over) return;
    this.closedWith = fault;
    this.#end(fault);
    // Behind what was sent before.
    const other = this.#other;
    if (other) queueMicrotask(() => other.#end(fault));
  }

  #deliver(frame: Uint8Array): void {
    queueMicrotask(() => {
      const other = this.#other;
      if (other && !other.#over) other.#events?.frame(frame);
    });
  }

  #end(fault?: Error): void {
    if (this.#over) return;
    this.#over = true;
    queueMicrotask(() => this.#events?.closed(fault));
  }
}
