import { Buffer } from "node:buffer";
import type net from "node:net";
import { coalesce } from "../base/coalesce.ts";
import { Fault } from "../base/fault.ts";
import type { Durability } from "../storage/durability.ts";
import type { RespConnection } from "./resp-connection.ts";

/** Longest a write waits for a replica to have it too, unless told otherwise: a busy replica confirms late. Unit: ms. */
export const REPLICA_TIMEOUT_MS = 2000;

/**
 * Makes sure that a replica has what was written, where there is one. WAIT is about what its own connection wrote, and holds that connection up: so one of them serves all writes that were
 * answered before it.
 */
export class ReplicaConfirmation {
  readonly #timeoutMs: number;
  readonly #confirmations = new WeakMap<net.Socket, () => Promise<Durability>>();

  /** 0: nobody waits for a replica. */
  constructor(timeoutMs = REPLICA_TIMEOUT_MS) {
    this.#timeoutMs = timeoutMs;
  }

  /** Who has what was answered over this connection just now. Rejects with INDETERMINATE where there is a replica and it did not confirm that in time: a failover may lose it. */
  async of(connection: RespConnection): Promise<Durability> {
    if (this.#timeoutMs === 0) return "master";
    const { state } = connection;
    // Another socket would know nothing of the write, and confirm it.
    if (state.kind !== "ready") throw this.#unconfirmed();
    const { socket } = state;
    const confirm = this.#confirmations.get(socket) ?? coalesce(() => this.#confirm(connection, socket));
    this.#confirmations.set(socket, confirm);
    return confirm();
  }

  async #confirm(connection: RespConnection, socket: net.Socket): Promise<Durability> {
    const ask = (...command: string[]) => {
      const { state } = connection;
      if (state.kind !== "ready" || state.socket !== socket) throw this.#unconfirmed();
      return connection.command(command);
    };
    try {
      const info = await ask("INFO", "replication");
      if (Buffer.isBuffer(info) && !info.includes("state=online")) return "master";
      const confirmed = await ask("WAIT", "1", String(this.#timeoutMs));
      if (typeof confirmed === "bigint" && confirmed >= 1n) return "replica";
    } catch {
      // The connection was lost: nobody knows.
    }
    throw this.#unconfirmed();
  }

  #unconfirmed(): Fault {
    const text = `it was written, but no replica confirmed it within ${this.#timeoutMs} ms: a failover may lose it`;
    return new Fault("INDETERMINATE", text);
  }
}
