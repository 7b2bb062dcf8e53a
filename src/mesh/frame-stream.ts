/**
 * One end of an established stream of frames, as a transport gives it to the mesh. A frame is the encoded body of a
 * `LinkRequest` or `LinkResponse`: repeated envelopes under field 1.
 */
export interface FrameStream {
  /** Address of the other end, for the log. */
  readonly remoteAddress: string;
  /** Queues a frame. False: hold back until `drain`. */
  send(frame: Uint8Array): boolean;
  /**
   * Ends the stream; idempotent. Without a fault what was sent still arrives; with one it may not, and the accepting end's
   * fault is what the other end sees.
   */
  close(fault?: Error): void;
  /** Set once, before the first frame can arrive. */
  listen(events: FrameStreamEvents): void;
}

export interface FrameStreamEvents {
  frame(bytes: Uint8Array): void;
  drain(): void;
  /** The initiating end sends no more, but still reads: answer what is owed, then `close`. */
  ended?(): void;
  /** The stream is over, once and as the last event, also after a `close` of this end; with the error that ended it, if one did. */
  closed(error?: Error): void;
}

/** Opens streams to other coordinators. */
export interface MeshTransport {
  /** Never throws: a failure arrives as `closed`. */
  connect(address: string): FrameStream;
}
