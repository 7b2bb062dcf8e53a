import type { Socket } from "node:net";
import { ChannelCredentials, type experimental } from "@grpc/grpc-js";

/**
 * The credentials of one channel, which keep hold of its connection. grpc-js closes a channel by asking its connection to close when it has nothing left to do, which over a
 * network that is cut, or was, it may never have, and by then it sends no more keepalive pings that would notice. Whoever closes the channel ends the connection here.
 */
export class HeldConnection extends ChannelCredentials {
  readonly #credentials: ChannelCredentials;
  readonly #sockets = new Set<Socket>();
  #isDestroyed = false;

  constructor(credentials: ChannelCredentials) {
    super();
    this.#credentials = credentials;
  }

  /** Ends it whatever it does. */
  destroy(): void {
    this.#isDestroyed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  override _isSecure(): boolean {
    return this.#credentials._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(
    ...args: Parameters<ChannelCredentials["_createSecureConnector"]>
  ): experimental.SecureConnector {
    const connector = this.#credentials._createSecureConnector(...args);
    return {
      connect: (socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
        // It was still on its way when the channel was closed.
        if (this.#isDestroyed) socket.destroy();
        return connector.connect(socket);
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}
