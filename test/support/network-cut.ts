import { subscribe } from "node:diagnostics_channel";
import { Socket } from "node:net";

/** Cuts this process off: every connection that it opened or took breaks. The pipes to its children are none of them. */
export class NetworkCut {
  readonly #sockets = new Set<Socket>();
  #endsAtMs = 0;

  /** Before the first connection. */
  constructor() {
    for (const channel of ["net.client.socket", "net.server.socket"]) {
      subscribe(channel, (message) => {
        if (isSocketMessage(message)) this.#follow(message.socket);
      });
    }
  }

  begin(forMs: number): void {
    this.#endsAtMs = performance.now() + forMs;
    for (const socket of this.#sockets) socket.destroy();
  }

  #follow(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    if (performance.now() >= this.#endsAtMs) return;
    // Whoever opened it listens for its errors by then.
    setImmediate(() => socket.destroy(new Error("this process is cut off")));
  }
}

function isSocketMessage(message: unknown): message is { readonly socket: Socket } {
  return typeof message === "object" && message !== null && "socket" in message && message.socket instanceof Socket;
}
