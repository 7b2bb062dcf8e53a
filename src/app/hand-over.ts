import type { HeldConnections } from "../connections/held-connections.ts";
import type { ConnectionStreams } from "./connection-streams.ts";

/** Longest that a coordinator which stops waits for its clients to resume their connections on other ones. Unit: ms. */
const HAND_OVER_TIMEOUT_MS = 1000;

export interface HandOverParts {
  readonly held: HeldConnections;
  readonly streams: ConnectionStreams;
  /** How long what runs on a stream may go on. Unit: ms. */
  readonly drainTimeoutMs: number;
}

/** Sends the clients of connections to other coordinators, which fetch what is kept for them here. Resolves once they have, or their time is over. Never rejects. */
export function handOver({ held, streams, drainTimeoutMs }: HandOverParts, reason: string): Promise<void> {
  const taken = held.whenTaken(held.attached);
  const leave = async (): Promise<void> => {
    await streams.sendAway(reason, drainTimeoutMs);
    await Promise.race([taken, new Promise((resolve) => setTimeout(resolve, HAND_OVER_TIMEOUT_MS))]);
  };
  const done = leave();
  held.handOver(done);
  return done;
}
