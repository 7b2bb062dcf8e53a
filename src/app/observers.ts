import type { LevellingObserver } from "../functions/library-levelling.ts";
import type { RunObserver } from "../functions/shard-runner.ts";
import type { RpcMethod, RpcObserver } from "../grpc/door-interceptor.ts";
import type { ListenerObserver } from "../grpc/listener-watch.ts";
import type { BugObserver } from "../grpc/unary.ts";
import type { MeshObserver } from "../mesh/mesh-parts.ts";
import type { SandboxObserver } from "../sandbox/supervisor-parts.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Logs } from "../telemetry/logs.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { RefreshObserver } from "../topology/live-topology.ts";
import { LogThrottle } from "./log-throttle.ts";

/** What each capability tells of itself, turned into log lines and metrics. */
export interface Observers {
  readonly runs: RunObserver;
  readonly rpcs: RpcObserver;
  readonly listener: ListenerObserver;
  readonly mesh: MeshObserver;
  readonly refreshes: RefreshObserver;
  readonly sandbox: SandboxObserver;
  readonly bugs: BugObserver;
  readonly levelling: LevellingObserver;
}

/** What the observers ask of the coordinator, and tell it. */
export interface Surroundings {
  /** Whether the coordinator is shutting down: what ends then, ends as planned. */
  readonly isClosing: () => boolean;
  readonly linkLost: () => void;
  readonly proofRefused: (remoteAddress: string) => void;
  readonly topologyDiffers: () => void;
  /** Our Redis answered with this MOVED. */
  readonly moved: (text: string) => void;
}

/** Time between two lines of one kind, where what they tell is repeated as often as somebody likes. Unit: ms. */
const REPEAT_PERIOD_MS = 10_000;

export function createObservers(logs: Pick<Logs, "of">, metrics: Metrics, surroundings: Surroundings): Observers {
  const throttle = new LogThrottle({ periodMs: REPEAT_PERIOD_MS });
  const [topology, sandbox, functions, grpc] = [
    logs.of("topology"),
    logs.of("sandbox"),
    logs.of("functions"),
    logs.of("grpc"),
  ];
  return {
    runs: metrics.runs,
    rpcs: metrics.rpcs,
    listener: listenerObserver(grpc, metrics, throttle),
    mesh: meshObserver(logs.of("mesh"), metrics, throttle, surroundings),
    refreshes: {
      refreshed(cause, result, { version, shards }) {
        metrics.topology.refreshed(cause, result);
        if (result === "changed") topology.info({ cause, version, shards: shards.length }, "the topology changed");
      },
      refreshFailed(cause, fault) {
        metrics.topology.refreshed(cause, "failed");
        topology.warn({ cause, code: fault.code }, fault.message);
      },
    },
    sandbox: {
      started: (pid) => sandbox.info({ pid }, "the sandbox process started"),
      ended(end) {
        if (surroundings.isClosing()) {
          sandbox.info({ pid: end.pid }, "the sandbox process ended with its coordinator");
          return;
        }
        metrics.sandbox.restarted();
        sandbox.warn({ ...end }, "the sandbox process ended");
      },
      moved: surroundings.moved,
      logged: (library, text) => functions.info({ library }, text),
      memory: metrics.sandbox.memory,
      quarantined: (library, reason) => sandbox.error({ library }, reason),
    },
    bugs: { bug: (cause) => grpc.error({ error: cause }, "a call met a bug of gearmesh; its caller sees INTERNAL") },
    levelling: {
      refused(library, { message }) {
        const repeats = throttle.pass(`library ${library}`);
        if (repeats === undefined) return;
        functions.error({ library, repeats }, `a library of the cluster does not load here: ${message}`);
      },
      notWrittenBack(library, { message }) {
        const repeats = throttle.pass(`record of ${library}`);
        if (repeats === undefined) return;
        functions.warn({ library, repeats }, `the record of a library is behind and could not be written: ${message}`);
      },
    },
  };
}

/** What people make up must not become a label: a method that does not exist is counted as `_OTHER`. */
const UNKNOWN_METHOD: RpcMethod = { type: "unary", service: "_OTHER", method: "_OTHER" };

function listenerObserver(logger: Logger, metrics: Metrics, throttle: LogThrottle): ListenerObserver {
  return {
    tlsRefused(remoteAddress, code) {
      metrics.auth.failed("tls", "handshake");
      const repeats = throttle.pass(`tls: ${code}`);
      if (repeats !== undefined) logger.warn({ remoteAddress, code, repeats }, "refused a connection: TLS failed");
    },
    protocolBroken(code) {
      metrics.auth.failed("http2", "protocol");
      const repeats = throttle.pass(`http2: ${code}`);
      if (repeats !== undefined) logger.warn({ code, repeats }, "ended a connection that broke the rules of HTTP/2");
    },
    unknownMethod() {
      metrics.rpcs.started(UNKNOWN_METHOD);
      metrics.rpcs.handled(UNKNOWN_METHOD, "UNIMPLEMENTED", 0);
    },
  };
}

function meshObserver(
  logger: Logger,
  metrics: Metrics,
  throttle: LogThrottle,
  { linkLost, topologyDiffers, proofRefused }: Surroundings,
): MeshObserver {
  return {
    linkOpened: ({ nodeId, address }, { version }) => logger.info({ nodeId, address, version }, "linked to a peer"),
    linkLost({ nodeId, address }, fault) {
      metrics.links.lost();
      logger.warn({ nodeId, address, code: fault.code }, `lost the link to a peer: ${fault.message}`);
      linkLost();
    },
    linkFailed({ nodeId, address }, { code, message }) {
      const repeats = throttle.pass(`link to ${nodeId}: ${code}`);
      if (repeats === undefined) return;
      const level = code === "UNAUTHENTICATED" ? "error" : "debug";
      logger[level]({ nodeId, address, code, repeats }, `could not link to a peer: ${message}`);
    },
    proofRefused,
    inboundRefused(remoteAddress, { code, message }) {
      if (code === "UNAUTHENTICATED") metrics.auth.failed("mesh", "proof");
      const repeats = throttle.pass(`refused: ${code}`);
      if (repeats !== undefined) logger.warn({ remoteAddress, code, repeats }, `refused a link: ${message}`);
    },
    inboundOpened: ({ nodeId, version }, remoteAddress) =>
      logger.info({ nodeId, remoteAddress, version }, "a peer linked to this shard"),
    inboundClosed: ({ nodeId }, fault) =>
      logger.info({ nodeId, code: fault.code }, "a peer's link to this shard ended"),
    topologyDiffers,
    settled: (...settled) => metrics.streams.settled("mesh", ...settled),
    beat: (_peer, roundTripMs) => metrics.roundTrips.link(roundTripMs),
    handlerFailed: (method, cause) => logger.error({ method, error: cause }, "a peer's request met a bug of gearmesh"),
  };
}
