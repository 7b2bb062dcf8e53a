import { Fault } from "../../src/base/fault.ts";
import type { FrameStream, MeshTransport } from "../../src/mesh/frame-stream.ts";
import { PairedStream } from "./stream-pair.ts";

/** Addresses that streams lead to, in memory. */
export class MemoryNetwork implements MeshTransport {
  readonly #listeners = new Map<string, (stream: FrameStream) => void>();
  /** Initiating ends of all streams ever opened, by address. */
  readonly streams: { readonly address: string; readonly stream: PairedStream }[] = [];

  listen(address: string, accept: (stream: FrameStream) => void): void {
    this.#listeners.set(address, accept);
  }

  /** Nobody answers there any more; streams that are open stay. */
  unlisten(address: string): void {
    this.#listeners.delete(address);
  }

  connect(address: string): FrameStream {
    const [near, far] = PairedStream.create();
    this.streams.push({ address, stream: near });
    const accept = this.#listeners.get(address);
    if (accept) accept(far);
    else queueMicrotask(() => near.close(new Fault("UNAVAILABLE", `nobody listens on ${address}`)));
    return near;
  }

  /** Streams to an address that are open. */
  open(address: string): readonly PairedStream[] {
    return this.streams.filter((each) => each.address === address && !each.stream.over).map(({ stream }) => stream);
  }
}
