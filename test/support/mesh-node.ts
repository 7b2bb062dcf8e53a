import { randomBytes } from "node:crypto";
import { Fault } from "../../src/base/fault.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import type { MeshTransport } from "../../src/mesh/frame-stream.ts";
import type { LinkIdentity } from "../../src/mesh/handshake.ts";
import { DEFAULT_STREAM_LIMITS } from "../../src/mesh/limits.ts";
import { Mesh } from "../../src/mesh/mesh.ts";
import type { MeshObserver, MeshSettings, TopologyNews } from "../../src/mesh/mesh-parts.ts";
import { type Handler, METHOD } from "../../src/mesh/method.ts";

export const TEST_TOKEN = "the-token-of-the-mesh-tests";

export interface MeshNodeOptions {
  readonly nodeId: string;
  readonly transport: MeshTransport;
  readonly wheel?: TimerWheel;
  readonly self?: Partial<LinkIdentity>;
  readonly tokens?: () => readonly string[];
  readonly topology?: Partial<TopologyNews>;
  /** Answers METHOD.CALL; by default with the body. */
  readonly handler?: Handler;
  /** Resolves once it serves. Default: at once. */
  readonly serves?: () => Promise<void>;
  readonly settings?: Partial<MeshSettings>;
}

export interface MeshNode {
  readonly mesh: Mesh;
  /** What the observer was told, in order: `linkFailed b UNAUTHENTICATED: ...`. */
  readonly log: string[];
}

/** A mesh whose observer writes down what it is told. */
export function createMeshNode(options: MeshNodeOptions): MeshNode {
  const { nodeId, transport, settings } = options;
  const log: string[] = [];
  const write =
    (event: keyof MeshObserver) =>
    (...details: unknown[]) => {
      log.push([event, ...details.map(describe)].join(" "));
    };
  const mesh = new Mesh({
    self: { namespace: "gearmesh", nodeId, runId: randomBytes(8).toString("hex"), ...options.self },
    nodeName: () => `node ${nodeId}`,
    tokens: options.tokens ?? (() => [TEST_TOKEN]),
    topology: {
      hash: () => "one map",
      epoch: () => 1,
      confirm: () => new Uint8Array(),
      confirmed: () => undefined,
      ...options.topology,
    },
    handlers: new Map<number, Handler>([
      [METHOD.CALL, options.handler ?? (async (body) => body)],
      [METHOD.AWAIT_SERVING, async (body) => options.serves?.().then(() => body) ?? body],
    ]),
    transport,
    wheel: options.wheel ?? new TimerWheel(),
    settings: {
      heartbeatMs: 1000,
      handshakeTimeoutMs: 5000,
      drainTimeoutMs: 2000,
      replacedTimeoutMs: 30_000,
      peerReturnMs: 30_000,
      reconnect: { initialMs: 50, maxMs: 1000 },
      limits: DEFAULT_STREAM_LIMITS,
      requestTimeoutMs: 5000,
      ...settings,
    },
    observer: {
      linkOpened: write("linkOpened"),
      linkLost: write("linkLost"),
      linkFailed: write("linkFailed"),
      inboundOpened: write("inboundOpened"),
      inboundClosed: write("inboundClosed"),
      proofRefused: write("proofRefused"),
      inboundRefused: write("inboundRefused"),
      topologyDiffers: write("topologyDiffers"),
      handlerFailed: write("handlerFailed"),
      settled: () => undefined,
      beat: () => undefined,
    },
    randomBytes,
  });
  return { mesh, log };
}

function describe(detail: unknown): string {
  if (detail instanceof Fault) return `${detail.code}: ${detail.message}`;
  if (typeof detail === "object" && detail !== null && "nodeId" in detail) return String(detail.nodeId);
  return String(detail);
}
