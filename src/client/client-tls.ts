import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials } from "@grpc/grpc-js";
import { TlsCredentials } from "../grpc/tls-credentials.ts";
import { certificatesIn, TLS_FLOOR } from "../grpc/tls-identity.ts";

/** How a client makes sure of the coordinators, and shows who it is. The files are read for each connection anew, so they may be replaced. */
export interface ClientTls {
  /** PEM file with the authorities that have signed the coordinators' certificates. Default: those that Node.js knows. */
  readonly caFile?: string | undefined;
  /** PEM file with the client's certificate, where the coordinators demand one (`tlsClientCertificates: all`). */
  readonly certFile?: string | undefined;
  /** PEM file with the private key of `certFile`. */
  readonly keyFile?: string | undefined;
  /** Whom the coordinators' certificates must be for. Default: the host of their address. */
  readonly serverName?: string | undefined;
}

/** Undefined: no encryption. */
export function clientCredentials(tls: ClientTls | undefined): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const { caFile, certFile, keyFile, serverName } = tls;
  return new TlsCredentials(() => ({
    context: {
      ...TLS_FLOOR,
      ...(caFile !== undefined && { ca: certificatesIn(readFileSync(caFile, "utf8")) }),
      ...(certFile !== undefined && { cert: readFileSync(certFile) }),
      ...(keyFile !== undefined && { key: readFileSync(keyFile) }),
    },
    serverName,
  }));
}
