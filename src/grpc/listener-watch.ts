import type { EventEmitter } from "node:events";
import type { IncomingHttpHeaders } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Server } from "@grpc/grpc-js";

/** What ends before there is a call that an interceptor would see. */
export interface ListenerObserver {
  /** Somebody did not get through the TLS handshake: no certificate, an old version, no TLS at all. `code`: of OpenSSL or Node. */
  tlsRefused(remoteAddress: string, code: string): void;
  /** Somebody broke the rules of HTTP/2, by too much metadata for example; the connection ends. */
  protocolBroken(code: string): void;
  /** A call of a method that does not exist, or one that is not gRPC. */
  unknownMethod(): void;
}

/** Metadata items that reach the interceptor, which bounds their bytes: of more Node would end the stream without a word to anybody. */
const MAX_METADATA_ITEMS = 2048;

/** Before the server listens. It reaches into the server as `limitReceived` does into a call, and fails at once where a release of grpc-js keeps it elsewhere. */
export function admitMetadataItems(server: Server): void {
  const options: unknown = Reflect.get(server, "commonServerOptions");
  if (typeof options !== "object" || options === null) throw unlike();
  Reflect.set(options, "maxHeaderListPairs", MAX_METADATA_ITEMS);
}

/** Once the server listens. */
export function watchListeners(server: Server, knows: (path: string) => boolean, observer: ListenerObserver): void {
  const listeners: unknown = Reflect.get(server, "http2Servers");
  if (!(listeners instanceof Map) || listeners.size === 0) throw unlike();
  for (const listener of listeners.keys() as Iterable<EventEmitter>) {
    listener.on("tlsClientError", (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      const { authorizationError, remoteAddress = "unknown" } = socket;
      // Who only looks whether the port is open, or does not trust us, has attempted nothing.
      if (error.code === "ECONNRESET" && !authorizationError) return;
      observer.tlsRefused(remoteAddress, String(authorizationError ?? error.code));
    });
    listener.on("sessionError", (error: NodeJS.ErrnoException) => {
      // Any other is a connection that broke, or that was ended by us.
      if (error.code === "ERR_HTTP2_ERROR") observer.protocolBroken(error.code);
    });
    listener.on("stream", (_stream: unknown, headers: IncomingHttpHeaders) => {
      const isGrpc = /^application\/grpc/.test(headers["content-type"] ?? "");
      if (!isGrpc || !knows(headers[":path"] ?? "")) observer.unknownMethod();
    });
  }
}

function unlike(): Error {
  return new Error("this release of grpc-js keeps its HTTP/2 servers elsewhere");
}
