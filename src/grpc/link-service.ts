import type { handleBidiStreamingCall, ServerDuplexStream } from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import type { FrameStream, FrameStreamEvents } from "../mesh/frame-stream.ts";
import { StreamRefused } from "../mesh/stream-refused.ts";
import { refusalOf, statusOf } from "./status.ts";

type FrameCall = ServerDuplexStream<Uint8Array, Uint8Array>;

/** A gRPC handler that gives each call to `accept` as a stream of frames. `accept` must call its `listen` at once. */
export function frameHandler(
  accept: (stream: FrameStream, call: FrameCall) => void,
): handleBidiStreamingCall<Uint8Array, Uint8Array> {
  return (call) => accept(new ServerFrameStream(call), call);
}

/** The accepting end of a stream, over gRPC. */
class ServerFrameStream implements FrameStream {
  readonly remoteAddress: string;
  readonly #call: FrameCall;
  #events: FrameStreamEvents | undefined;
  #over = false;

  constructor(call: FrameCall) {
    this.#call = call;
    this.remoteAddress = call.getPeer();
  }

  listen(events: FrameStreamEvents): void {
    const call = this.#call;
    this.#events = events;
    call.on("data", (frame: Uint8Array) => {
      if (!this.#over) events.frame(frame);
    });
    call.on("drain", () => {
      if (!this.#over) events.drain();
    });
    call.on("end", () => {
      if (this.#over) return;
      if (events.ended === undefined) this.close();
      else events.ended();
    });
    call.on("cancelled", () => this.#end(new Fault("UNAVAILABLE", "the other end is gone")));
    call.on("error", (cause: Error) => this.#end(new Fault("UNAVAILABLE", "the stream broke", { cause })));
  }

  send(frame: Uint8Array): boolean {
    return !this.#over && this.#call.write(frame);
  }

  /** An 'error' that a handler emits is how grpc-js sends a status other than OK. */
  close(error?: Error): void {
    if (this.#over) return;
    this.#end(error);
    if (error === undefined) this.#call.end();
    else if (error instanceof StreamRefused) this.#call.emit("error", refusalOf(error));
    else this.#call.emit("error", statusOf(Fault.from(error)));
  }

  #end(error?: Error): void {
    if (this.#over) return;
    this.#over = true;
    queueMicrotask(() => this.#events?.closed(error));
  }
}
