import type { StreamCaller } from "../grpc/stream-caller.ts";
import type { FrameStream } from "../mesh/frame-stream.ts";
import { StreamRefused } from "../mesh/stream-refused.ts";
import { ClientSession, type ClientSessionParts } from "./client-session.ts";

export interface ConnectionStreamsParts extends ClientSessionParts {
  /** Streams that may be open at once, those among them that have not opened a connection yet. */
  readonly maxStreams: number;
}

/** The streams of ConnectionService.Open. */
export class ConnectionStreams {
  readonly #parts: ConnectionStreamsParts;
  readonly #open = new Set<ClientSession>();
  #sentAway: StreamRefused | undefined;

  constructor(parts: ConnectionStreamsParts) {
    this.#parts = parts;
  }

  accept(stream: FrameStream, caller: StreamCaller): void {
    const { maxStreams } = this.#parts;
    const refusal = this.#sentAway ?? (this.#open.size >= maxStreams ? tooMany(maxStreams) : undefined);
    if (refusal) {
      stream.listen({ frame: () => undefined, drain: () => undefined, closed: () => undefined });
      stream.close(refusal);
      return;
    }
    const session: ClientSession = new ClientSession(this.#parts, stream, caller, () => this.#open.delete(session));
    this.#open.add(session);
    session.start();
  }

  /**
   * Takes no stream any more and ends each that is open, once what runs on it has ended, within a bound: the clients may resume their connections elsewhere. Resolves then.
   */
  async sendAway(reason: string, drainTimeoutMs: number): Promise<void> {
    this.#sentAway = new StreamRefused("UNAVAILABLE", reason);
    await Promise.all([...this.#open].map((session) => session.sendAway(reason, drainTimeoutMs)));
  }
}

function tooMany(maxStreams: number): StreamRefused {
  return new StreamRefused("RESOURCE_EXHAUSTED", `${maxStreams} streams are open already; try again later`);
}
