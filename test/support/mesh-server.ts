import { promisify } from "node:util";
import { credentials, type handleBidiStreamingCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { MESH_SERVICE } from "../../src/grpc/frame-methods.ts";
import { frameHandler } from "../../src/grpc/link-service.ts";
import { PeerTransport } from "../../src/grpc/peer-transport.ts";
import type { MeshTransport } from "../../src/mesh/frame-stream.ts";
import { DEFAULT_STREAM_LIMITS, maxFrameBytes } from "../../src/mesh/limits.ts";
import { createMeshNode, type MeshNode, type MeshNodeOptions } from "./mesh-node.ts";

/** A gRPC server with the mesh service alone. */
export interface LinkServer extends AsyncDisposable {
  readonly port: number;
}

export async function startLinkServer(
  handler: handleBidiStreamingCall<Uint8Array, Uint8Array>,
  port = 0,
): Promise<LinkServer> {
  const bytes = maxFrameBytes(DEFAULT_STREAM_LIMITS);
  const server = new Server({ "grpc.max_receive_message_length": bytes, "grpc.max_send_message_length": bytes });
  server.addService(MESH_SERVICE, { Link: handler });
  const bound = await promisify(server.bindAsync.bind(server))(`127.0.0.1:${port}`, ServerCredentials.createInsecure());
  return {
    port: bound,
    [Symbol.asyncDispose]: () => {
      server.forceShutdown();
      return Promise.resolve();
    },
  };
}

export function grpcTransport(): MeshTransport {
  return new PeerTransport({
    credentials: credentials.createInsecure(),
    maxFrameBytes: maxFrameBytes(DEFAULT_STREAM_LIMITS),
  });
}

export interface ServedMesh extends MeshNode, AsyncDisposable {
  readonly port: number;
}

/** A mesh with a gRPC server of its own, as a coordinator has it. */
export async function startMesh(
  options: Omit<MeshNodeOptions, "transport"> & { readonly transport?: MeshTransport; readonly port?: number },
): Promise<ServedMesh> {
  const node = createMeshNode({ transport: grpcTransport(), ...options });
  const server = await startLinkServer(
    frameHandler((stream) => node.mesh.accept(stream)),
    options.port,
  );
  return {
    ...node,
    port: server.port,
    async [Symbol.asyncDispose]() {
      await node.mesh.close("the test is over");
      await server[Symbol.asyncDispose]();
    },
  };
}
