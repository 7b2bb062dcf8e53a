import { Counter, Gauge, type Registry } from "prom-client";

/** Who did not get in where, and why. */
const REASONS = {
  client: ["token", "scope", "limit", "metadata"],
  mesh: ["proof", "certificate", "limit"],
  tls: ["handshake"],
  http2: ["protocol"],
  ops: ["token", "scope", "limit"],
} as const satisfies Record<string, readonly string[]>;
type Door = keyof typeof REASONS;

export interface AuthRecorder {
  /** `client`: a call; `mesh`: a coordinator's link; `tls` and `http2`: a connection that had shown nothing yet; `ops`: a reader of /metrics. */
  failed<D extends Door>(door: D, reason: (typeof REASONS)[D][number]): void;
  /** Files with tokens or certificates were read again. */
  reloaded(result: "changed" | "refused"): void;
  /** When the certificate in use ends. Unit: ms since 1970. */
  certificate(expiresAtMs: number): void;
}

export function authRecorder(registers: Registry[]): AuthRecorder {
  const failures = new Counter({
    registers,
    name: "gearmesh_auth_failures_total",
    help: "Who did not get in, by door and reason. client: calls without a valid token (token), with one for something else (scope), after too many failures (limit), with too much metadata; mesh: coordinators that could not prove that they know the token (proof), showed no certificate, or failed too often; tls, http2: connections that broke off before they had shown anything; ops: readers of /metrics. Growing: someone guesses, or a token or certificate was changed in one place only.",
    labelNames: ["door", "reason"],
  });
  const reloads = new Counter({
    registers,
    name: "gearmesh_secret_reloads_total",
    help: "Changes of files with tokens or certificates: taken over (changed), or not, because they cannot be used (refused): what was there before stays in use, the log says why.",
    labelNames: ["result"],
  });
  const expiry = new Gauge({
    registers,
    name: "gearmesh_tls_certificate_expiry_timestamp_seconds",
    help: "When the certificate that this coordinator shows ends, in seconds since 1970; 0 without TLS. Close to time(): replace the files.",
  });
  // Zero from the start, so that a rate sees the first one.
  for (const [door, reasons] of Object.entries(REASONS)) {
    for (const reason of reasons) failures.inc({ door, reason }, 0);
  }
  for (const result of ["changed", "refused"]) reloads.inc({ result }, 0);
  return {
    failed: (door, reason) => failures.inc({ door, reason }),
    reloaded: (result) => reloads.inc({ result }),
    certificate: (expiresAtMs) => expiry.set(expiresAtMs / 1000),
  };
}
