import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions } from "node:tls";

/** What one end of a connection shows and whom it believes. Each is the text of a PEM file. */
export interface TlsIdentity {
  /** The certificate, followed by those that lead to its authority. */
  readonly certificate: string;
  readonly key: string;
  /** The authorities that must have signed the other end's certificate. */
  readonly authorities: string;
}

/** Forward secrecy and authenticated encryption only: what HTTP/2 demands of TLS 1.2, and all of TLS 1.3. */
const CIPHERS = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  "ECDHE+AESGCM",
  "ECDHE+CHACHA20",
].join(":");

/** Whatever the process or the machine has for a default. */
export const TLS_FLOOR: SecureContextOptions = { minVersion: "TLSv1.2", ciphers: CIPHERS };

export function contextOptions({ certificate, key, authorities }: TlsIdentity): SecureContextOptions {
  return { ...TLS_FLOOR, cert: certificate, key, ca: certificatesIn(authorities) };
}

/** When the certificate ends. Unit: ms since 1970. */
export function expiryOf({ certificate }: TlsIdentity): number {
  return new X509Certificate(certificate).validToDate.getTime();
}

/** Why it cannot be used, as the end of a sentence without a secret in it; undefined where it can. */
export function identityProblem(identity: TlsIdentity, now = new Date()): string | undefined {
  const certificate = parsed(() => new X509Certificate(identity.certificate));
  if (!certificate) return "the certificate is not a PEM certificate";
  const key = parsed(() => createPrivateKey(identity.key));
  if (!key) return "the key is not a PEM private key without a passphrase";
  if (!certificate.checkPrivateKey(key)) return "the key is not that of the certificate";
  if (certificate.validToDate < now) return `the certificate has expired (${certificate.validTo})`;
  if (certificate.validFromDate > now) return `the certificate is not valid yet (${certificate.validFrom})`;
  const authorities = certificatesIn(identity.authorities);
  if (authorities.length === 0 || !authorities.every((one) => parsed(() => new X509Certificate(one)))) {
    return "the authorities are not PEM certificates";
  }
  // What OpenSSL itself objects to: a key that is too short, for example.
  return parsed(() => createSecureContext(contextOptions(identity))) ? undefined : "OpenSSL refuses it";
}

/** Node reads only the first certificate of a text where it expects an authority. */
export function certificatesIn(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined;
  }
}
