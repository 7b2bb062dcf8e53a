import type { MethodDefinition } from "@grpc/grpc-js";

/**
 * The method as the wire has it: bodies pass as bytes to a handler that serves streams and links as well, and what it answers is encoded already. They are decoded by that
 * handler, so a request that is none fails there.
 */
export function passedThrough<Request extends object, Response extends object>(
  definition: MethodDefinition<Request, Response>,
): MethodDefinition<Uint8Array, Uint8Array> {
  return {
    ...definition,
    requestSerialize: asBuffer,
    requestDeserialize: asIs,
    responseSerialize: asBuffer,
    responseDeserialize: asIs,
  };
}

function asIs(bytes: Buffer): Uint8Array {
  return bytes;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
