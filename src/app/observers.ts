import type { RunObserver } from "../functions/shard-runner.ts";
import type { RpcObserver } from "../grpc/door-interceptor.ts";
import type { BugObserver } from "../grpc/unary.ts";
import type { MeshObserver } from "../mesh/mesh-parts.ts";
import type { SandboxObserver } from "../sandbox/supervisor.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Metrics } from "../telemetry/metrics.ts";
import type { RefreshObserver } from "../topology/live-topology.ts";

/** What each capability tells of itself, turned into log lines and metrics. */
export interface Observers {
  readonly runs: RunObserver;
  readonly rpcs: RpcObserver;
  readonly mesh: MeshObserver;
  readonly refreshes: RefreshObserver;
  readonly sandbox: SandboxObserver;
  readonly bugs: BugObserver;
}

/** What else happens on news from the mesh. */
export interface MeshReactions {
  readonly linkLost: () => void;
  readonly topologyDiffers: () => void;
}

export function createObservers(logger: Logger, metrics: Metrics, reactions: MeshReactions): Observers {
  return {
    runs: metrics.runs,
    rpcs: {
      ...metrics.rpcs,
      refused: () => metrics.auth.failed("client"),
    },
    mesh: meshObserver(logger, metrics, reactions),
    refreshes: {
      refreshed(cause, result) {
        metrics.topology.refreshed(cause, result);
        if (result === "changed") logger.info({ cause }, "the topology changed");
      },
      refreshFailed(cause, fault) {
        metrics.topology.refreshed(cause, "failed");
        logger.warn({ cause, code: fault.code }, fault.message);
      },
    },
    sandbox: {
      started: (pid) => logger.info({ pid }, "the sandbox process started"),
      ended(end) {
        metrics.sandbox.restarted();
        logger.warn({ ...end }, "the sandbox process ended");
      },
      logged: (library, text) => logger.info({ library }, text),
      memory: metrics.sandbox.memory,
    },
    bugs: { bug: (cause) => logger.error({ error: cause }, "a call met a bug of gearmesh; its caller sees INTERNAL") },
  };
}

function meshObserver(logger: Logger, metrics: Metrics, { linkLost, topologyDiffers }: MeshReactions): MeshObserver {
  return {
    linkOpened: ({ nodeId, address }) => logger.info({ nodeId, address }, "linked to a peer"),
    linkLost({ nodeId, address }, fault) {
      metrics.links.lost();
      logger.warn({ nodeId, address, code: fault.code }, `lost the link to a peer: ${fault.message}`);
      linkLost();
    },
    linkFailed({ nodeId, address }, fault) {
      const text = `could not link to a peer: ${fault.message}`;
      if (fault.code === "UNAUTHENTICATED") logger.error({ nodeId, address }, text);
      else logger.debug({ nodeId, address, code: fault.code }, text);
    },
    inboundRefused(remoteAddress, fault) {
      if (fault.code === "UNAUTHENTICATED") metrics.auth.failed("mesh");
      logger.warn({ remoteAddress, code: fault.code }, `refused a link: ${fault.message}`);
    },
    inboundOpened: ({ nodeId }, remoteAddress) => logger.info({ nodeId, remoteAddress }, "a peer linked to this shard"),
    inboundClosed: ({ nodeId }, fault) =>
      logger.info({ nodeId, code: fault.code }, "a peer's link to this shard ended"),
    topologyDiffers,
    handlerFailed: (method, cause) => logger.error({ method, error: cause }, "a peer's request met a bug of gearmesh"),
  };
}
