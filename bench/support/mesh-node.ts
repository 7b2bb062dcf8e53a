import { randomBytes } from "node:crypto";
import { credentials } from "@grpc/grpc-js";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { PeerTransport } from "../../src/grpc/peer-transport.ts";
import { DEFAULT_STREAM_LIMITS, maxFrameBytes } from "../../src/mesh/limits.ts";
import { Mesh } from "../../src/mesh/mesh.ts";
import type { Handlers } from "../../src/mesh/method.ts";

/** One end of the mesh with the settings that a coordinator has by default. */
export function createMesh(nodeId: string, token: string, handlers: Handlers): Mesh {
  return new Mesh({
    self: { namespace: "bench", nodeId, runId: randomBytes(16).toString("hex") },
    nodeName: () => nodeId,
    tokens: () => [token],
    topology: { hash: () => "", epoch: () => 0, confirm: () => new Uint8Array(), confirmed: () => undefined },
    handlers,
    transport: new PeerTransport({
      credentials: credentials.createInsecure(),
      maxFrameBytes: maxFrameBytes(DEFAULT_STREAM_LIMITS),
    }),
    wheel: new TimerWheel(),
    settings: {
      heartbeatMs: 1000,
      handshakeTimeoutMs: 5000,
      drainTimeoutMs: 1000,
      replacedTimeoutMs: 30_000,
      peerReturnMs: 30_000,
      reconnect: { initialMs: 50, maxMs: 1000 },
      limits: DEFAULT_STREAM_LIMITS,
      requestTimeoutMs: 10_000,
    },
    observer: {
      linkOpened: () => undefined,
      linkLost: (_, fault) => console.error(fault),
      linkFailed: (_, fault) => console.error(fault),
      inboundOpened: () => undefined,
      inboundClosed: () => undefined,
      proofRefused: () => undefined,
      inboundRefused: (_, fault) => console.error(fault),
      topologyDiffers: () => undefined,
      settled: () => undefined,
      beat: () => undefined,
      handlerFailed: (_, cause) => console.error(cause),
    },
    randomBytes,
  });
}
