import type { LevellingObserver } from "../functions/library-levelling.ts";
import type { RunObserver } from "../functions/shard-runner.ts";
import type { RpcObserver } from "../grpc/door-interceptor.ts";
import type { BugObserver } from "../grpc/unary.ts";
import type { MeshObserver } from "../mesh/mesh-parts.ts";
import type { SandboxObserver } from "../sandbox/supervisor-parts.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { RefreshObserver } from "../topology/live-topology.ts";
import { LogThrottle } from "./log-throttle.ts";

/** What each capability tells of itself, turned into log lines and metrics. */
export interface Observers {
  readonly runs: RunObserver;
  readonly rpcs: RpcObserver;
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
  readonly topologyDiffers: () => void;
  /** Our Redis answered with this MOVED. */
  readonly moved: (text: string) => void;
}

/** Time between two lines of one kind, where what they tell is repeated as often as somebody likes. Unit: ms. */
const REPEAT_PERIOD_MS = 10_000;

export function createObservers(logger: Logger, metrics: Metrics, surroundings: Surroundings): Observers {
  const throttle = new LogThrottle({ periodMs: REPEAT_PERIOD_MS });
  return {
    runs: metrics.runs,
    rpcs: {
      ...metrics.rpcs,
      refused: () => metrics.auth.failed("client"),
    },
    mesh: meshObserver(logger, metrics, throttle, surroundings),
    refreshes: {
      refreshed(cause, result, { version, shards }) {
        metrics.topology.refreshed(cause, result);
        if (result === "changed") logger.info({ cause, version, shards: shards.length }, "the topology changed");
      },
      refreshFailed(cause, fault) {
        metrics.topology.refreshed(cause, "failed");
        logger.warn({ cause, code: fault.code }, fault.message);
      },
    },
    sandbox: {
      started: (pid) => logger.info({ pid }, "the sandbox process started"),
      ended(end) {
        if (surroundings.isClosing()) {
          logger.info({ pid: end.pid }, "the sandbox process ended with its coordinator");
          return;
        }
        metrics.sandbox.restarted();
        logger.warn({ ...end }, "the sandbox process ended");
      },
      moved: surroundings.moved,
      logged: (library, text) => logger.info({ library }, text),
      memory: metrics.sandbox.memory,
      quarantined: (library, reason) => logger.error({ library }, reason),
    },
    bugs: { bug: (cause) => logger.error({ error: cause }, "a call met a bug of gearmesh; its caller sees INTERNAL") },
    levelling: {
      refused(library, { message }) {
        const repeats = throttle.pass(`library ${library}`);
        if (repeats === undefined) return;
        logger.error({ library, repeats }, `a library of the cluster does not load here: ${message}`);
      },
      notWrittenBack(library, { message }) {
        const repeats = throttle.pass(`record of ${library}`);
        if (repeats === undefined) return;
        logger.warn({ library, repeats }, `the record of a library is behind and could not be written: ${message}`);
      },
    },
  };
}

function meshObserver(
  logger: Logger,
  metrics: Metrics,
  throttle: LogThrottle,
  { linkLost, topologyDiffers }: Surroundings,
): MeshObserver {
  return {
    linkOpened: ({ nodeId, address }) => logger.info({ nodeId, address }, "linked to a peer"),
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
    inboundRefused(remoteAddress, { code, message }) {
      if (code === "UNAUTHENTICATED") metrics.auth.failed("mesh");
      const repeats = throttle.pass(`refused: ${code}`);
      if (repeats !== undefined) logger.warn({ remoteAddress, code, repeats }, `refused a link: ${message}`);
    },
    inboundOpened: ({ nodeId }, remoteAddress) => logger.info({ nodeId, remoteAddress }, "a peer linked to this shard"),
    inboundClosed: ({ nodeId }, fault) =>
      logger.info({ nodeId, code: fault.code }, "a peer's link to this shard ended"),
    topologyDiffers,
    handlerFailed: (method, cause) => logger.error({ method, error: cause }, "a peer's request met a bug of gearmesh"),
  };
}
