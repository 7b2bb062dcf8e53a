import type { Clock } from "../base/clock.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionDirectory, Holder } from "./connection-directory.ts";
import type { HeldConnections } from "./held-connections.ts";
import type { RoomMembership } from "./room-membership.ts";

export interface ConnectionLeasesParts {
  readonly held: HeldConnections;
  readonly directory: Pick<ConnectionDirectory, "renew">;
  readonly holder: () => Holder | undefined;
  readonly rooms: Pick<RoomMembership, "adopt">;
  readonly clock: Clock;
  /** Unit: ms. */
  readonly leaseMs: number;
}

/** Renewals that are under way at once: Redis has others to answer, and its connection takes no more than a few thousand commands. */
const SLICE = 256;

/** Longest that a resumed connection's client waits for its rooms; then they follow. Unit: ms. */
const ROOMS_TIMEOUT_MS = 500;

/** Keeps the records of the connections that this node holds, and makes up for what could not be done while Redis was away. */
export class ConnectionLeases {
  readonly #parts: ConnectionLeasesParts;
  /** Those that came from another node and have not been brought into their rooms here. */
  readonly #homeless = new Set<Connection>();
  #stopTicking: (() => void) | undefined;

  constructor(parts: ConnectionLeasesParts) {
    this.#parts = parts;
  }

  start(): void {
    const { clock, leaseMs } = this.#parts;
    const [renew, catchUp] = [oneAtATime(() => this.#renewAll()), oneAtATime(() => this.#catchUp())];
    this.#stopTicking = clock.every(leaseMs / 3, () => {
      renew();
      catchUp();
    });
  }

  stop(): void {
    this.#stopTicking?.();
  }

  /** Brings a connection that came from another node into its rooms here; waits for it within a bound, since its client waits. Never rejects. */
  async enterRooms(connection: Connection): Promise<void> {
    this.#homeless.add(connection);
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const stop = this.#parts.clock.after(ROOMS_TIMEOUT_MS, resolve);
    await Promise.race([this.#enterRooms(connection), late]);
    stop();
  }

  async #renewAll(): Promise<void> {
    const connections = [...this.#parts.held.values()];
    for (let at = 0; at < connections.length; at += SLICE) {
      await Promise.all(connections.slice(at, at + SLICE).map((connection) => this.#renew(connection)));
    }
  }

  /** What may take long, so that no renewal waits for it. */
  async #catchUp(): Promise<void> {
    for (const connection of [...this.#homeless]) await this.#enterRooms(connection);
    await this.#parts.held.removeEnded();
  }

  async #renew(connection: Connection): Promise<void> {
    const { held, directory, holder } = this.#parts;
    const self = holder();
    if (!self || !held.isHeld(connection)) return;
    try {
      const answer = await directory.renew(connection.id, self);
      if (answer === "taken") held.lose(connection);
      else if (answer === "missing") connection.isUnwritten = true;
      if (connection.isUnwritten) await connection.inTurn(() => held.catchUp(connection));
    } catch {
      // Redis is away: the next round tries again, and a record that is lost by then is written anew.
    }
  }

  async #enterRooms(connection: Connection): Promise<void> {
    const { held, rooms } = this.#parts;
    if (!this.#homeless.delete(connection) || !held.isHeld(connection)) return;
    try {
      await connection.inTurn(async () => {
        if (held.isHeld(connection)) await rooms.adopt(connection.id, [...connection.rooms]);
      });
    } catch {
      // Redis is away: with the next round.
      this.#homeless.add(connection);
    }
  }
}

/** Does nothing where the last one is not through. `task` never rejects. */
function oneAtATime(task: () => Promise<void>): () => void {
  let isRunning = false;
  return () => {
    if (isRunning) return;
    isRunning = true;
    void task().then(() => {
      isRunning = false;
    });
  };
}
