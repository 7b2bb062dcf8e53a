import { isIP, type Socket } from "node:net";
import { connect, createSecureContext, type SecureContextOptions } from "node:tls";
import { CallCredentials, ChannelCredentials, experimental } from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import { contextOptions, type TlsIdentity } from "./tls-identity.ts";

/** How the far side of a channel is made sure of. */
export interface TlsTrust {
  readonly context: SecureContextOptions;
  /** Whom its certificate must be for. Default: the host that the channel leads to. */
  readonly serverName?: string | undefined;
}

/** Longest that the far side may take to agree on TLS. Unit: ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * TLS for a channel. Unlike those of grpc-js it asks for each connection anew what to show and whom to believe, so that files may be replaced, and it connects to an IP address: grpc-js
 * names one as the server's name, which Node refuses.
 */
export class TlsCredentials extends ChannelCredentials {
  readonly #trust: () => TlsTrust;

  constructor(trust: () => TlsTrust) {
    super();
    this.#trust = trust;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return other === this;
  }

  override _createSecureConnector(
    target: experimental.GrpcUri,
    _options: unknown,
    callCredentials = CallCredentials.createEmpty(),
  ): experimental.SecureConnector {
    return {
      connect: (socket) => secured(socket, target, this.#trust()),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => callCredentials,
      destroy: () => undefined,
    };
  }
}

/** For links: shows and believes what `identity` has at the time. */
export function peerCredentials(identity: () => TlsIdentity, serverName: string | undefined): TlsCredentials {
  return new TlsCredentials(() => ({ context: contextOptions(identity()), serverName }));
}

async function secured(
  socket: Socket,
  target: experimental.GrpcUri,
  { context, serverName }: TlsTrust,
): Promise<experimental.SecureConnectResult> {
  const host = serverName ?? hostOf(target, socket);
  const { promise, resolve, reject } = Promise.withResolvers<experimental.SecureConnectResult>();
  const secure = connect({
    socket,
    host,
    ...(isIP(host) === 0 && { servername: host }),
    secureContext: createSecureContext(context),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: true,
  });
  const timer = setTimeout(() => {
    secure.destroy(new Fault("UNAVAILABLE", `no TLS within ${HANDSHAKE_TIMEOUT_MS} ms`));
  }, HANDSHAKE_TIMEOUT_MS);
  secure.once("secureConnect", () => resolve({ socket: secure, secure: true }));
  // It stays: what breaks later is told by the connection's own end.
  secure.on("error", reject);
  secure.once("close", () => reject(new Fault("UNAVAILABLE", "the connection was closed during the TLS handshake")));
  return promise.finally(() => clearTimeout(timer));
}

/** Where addresses are listed instead of a name, the one that was connected to. */
function hostOf({ scheme, path }: experimental.GrpcUri, socket: Socket): string {
  const isList = scheme === "ipv4" || scheme === "ipv6";
  return (isList ? undefined : experimental.splitHostPort(path)?.host) ?? socket.remoteAddress ?? "localhost";
}
