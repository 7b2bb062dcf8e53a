import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import type { Shard } from "../topology/topology.ts";
import type { PeerShard, Shards } from "./shards.ts";

export interface PeerAnswer<T> {
  readonly shard: Shard;
  readonly answer: T | Fault;
}

/**
 * The shards that serve libraries beside this coordinator. Undefined until Redis has been asked once.
 */
export function otherShards(shards: Shards): readonly Shard[] | undefined {
  return otherMasters(shards)?.filter(servesCalls);
}

/**
 * Those and the masters that own no slots yet. While this coordinator stands by, the one that is active for its own shard is another one, too.
 * Undefined until Redis has been asked once.
 */
export function otherMasters(shards: Shards): readonly Shard[] | undefined {
  const topology = shards.topology();
  const own = shards.isActive() ? topology?.selfShard : undefined;
  return topology?.shards.filter(({ id }) => id !== own);
}

/** One without slots may not have a coordinator yet: nobody waits for it. */
export function servesCalls({ slots }: Shard): boolean {
  return slots.length > 0;
}

/** The shard of this coordinator, active or not. */
export function ownShard(shards: Shards): Shard | undefined {
  return shards.topology()?.ownShard;
}

/**
 * Asks the coordinators of all these shards at once; with `wait`, one that is restarted once it is back. Never rejects: a shard without a link answers UNAVAILABLE.
 */
export function askEach<T>(
  shards: Shards,
  asked: readonly Shard[],
  ask: (peer: PeerShard) => Promise<T>,
  wait?: CallContext,
): Promise<readonly PeerAnswer<T>[]> {
  return Promise.all(
    asked.map(async (shard) => {
      try {
        const peer = shards.peer(shard.id) ?? (wait && (await shards.whenBack(shard.id, wait)));
        if (!peer) throw new Fault("UNAVAILABLE", "there is no link to its coordinator");
        return { shard, answer: await ask(peer) };
      } catch (thrown) {
        return { shard, answer: Fault.from(thrown) };
      }
    }),
  );
}
