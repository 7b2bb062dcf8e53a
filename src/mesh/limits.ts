import { FRAME_BYTES } from "./outbox.ts";

/** Bounds of one stream, either way. */
export interface StreamLimits {
  /** Requests that may be in flight. Default: 4096. */
  readonly maxInFlight: number;
  /** Bytes of request bodies that may be in flight, and of answers that may wait to be sent. Default: 64 MiB. */
  readonly maxInFlightBytes: number;
  /** Largest body or result of one call. Unit: bytes. Default: 16 MiB. */
  readonly maxEnvelopeBytes: number;
}

/** Largest frame of a handshake: who has not proved anything may not make us keep more. Unit: bytes. */
export const MAX_HANDSHAKE_FRAME_BYTES = 4096;

/** Frames of a handshake that the end which opened the stream sends: its hello and its proof. */
export const INITIATOR_FRAMES = 2;

export const DEFAULT_STREAM_LIMITS: StreamLimits = {
  maxInFlight: 4096,
  maxInFlightBytes: 64 * 1024 * 1024,
  maxEnvelopeBytes: 16 * 1024 * 1024,
};

/** Largest frame that can come of these limits: what a transport must let pass. Unit: bytes. */
export function maxFrameBytes({ maxEnvelopeBytes }: Pick<StreamLimits, "maxEnvelopeBytes">): number {
  return maxEnvelopeBytes + FRAME_BYTES;
}
