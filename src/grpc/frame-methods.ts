import { Buffer } from "node:buffer";
import type { MethodDefinition } from "@grpc/grpc-js";

/**
 * The methods whose messages are frames. They stay bytes on their way through gRPC: the hand-written codec reads and writes
 * them where they are used, five times as fast as proto-loader's objects.
 */
export type FrameMethod = MethodDefinition<Uint8Array, Uint8Array>;

function frameMethod(path: string): FrameMethod {
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: asBuffer,
    requestDeserialize: asIs,
    responseSerialize: asBuffer,
    responseDeserialize: asIs,
  };
}

function asBuffer(frame: Uint8Array): Buffer {
  return Buffer.isBuffer(frame) ? frame : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
}

function asIs(bytes: Buffer): Uint8Array {
  return bytes;
}

export const LINK_METHOD = frameMethod("/gearmesh.v1.MeshService/Link");
export const CALL_STREAM_METHOD = frameMethod("/gearmesh.v1.FunctionService/CallStream");
export const OPEN_METHOD = frameMethod("/gearmesh.v1.ConnectionService/Open");

/** The mesh's service, for a server. */
export const MESH_SERVICE = { Link: LINK_METHOD };
