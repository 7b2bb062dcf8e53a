import { ServerCredentials } from "@grpc/grpc-js";
import { contextOptions, type TlsIdentity } from "./tls-identity.ts";

/** Who must show a certificate of the authorities: nobody, other coordinators, or everybody who connects. */
export type CertificateDemand = "none" | "peers" | "all";

/** Longest that a client may take to agree on TLS. Unit: ms. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** The credentials of a listener with TLS, whose certificate can be replaced while it listens: connections that are there go on. */
export class DoorCredentials extends ServerCredentials {
  /** `demand`: whether peers have shown one is seen once it is known that they are some. */
  constructor(identity: TlsIdentity, demand: CertificateDemand) {
    super(
      {
        requestCert: demand !== "none",
        rejectUnauthorized: demand === "all",
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      contextOptions(identity),
    );
  }

  replace(identity: TlsIdentity): void {
    this.updateSecureContextOptions(contextOptions(identity));
  }

  override _equals(other: ServerCredentials): boolean {
    return other === this;
  }
}

export const INSECURE_DOOR: ServerCredentials = ServerCredentials.createInsecure();
