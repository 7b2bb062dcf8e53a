import { DoorAccess } from "../grpc/door-access.ts";
import { DoorCredentials, INSECURE_DOOR } from "../grpc/door-credentials.ts";
import type { DoorsParts } from "../grpc/doors.ts";
import { FailureLimit } from "../grpc/failure-limit.ts";
import type { PeerTransportParts } from "../grpc/peer-transport.ts";
import { peerCredentials } from "../grpc/tls-credentials.ts";
import { expiryOf, type TlsIdentity } from "../grpc/tls-identity.ts";
import { SCOPES, type ScopedToken, TokenCheck } from "../grpc/token-check.ts";
import type { AuthRecorder } from "../telemetry/auth-metrics.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { MetricsAccess } from "../telemetry/ops-server.ts";
import { type SecretFiles, scopedTokenFiles, serverTokenFiles, tlsFiles } from "./config/secrets.ts";
import type { Settings } from "./config/settings.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Secrets that are kept from the log, those of the past among them. */
const MAX_SECRETS = 1024;

export interface AccessSideParts {
  readonly logger: Logger;
  readonly recorder: AuthRecorder;
  /** Links must prove themselves anew, by other tokens or with another certificate. */
  readonly renewLinks: (reason: string) => void;
}

/** Who gets in: tokens and certificates as they are now, since their files may change while the coordinator runs. */
export interface AccessSide {
  readonly door: Pick<DoorsParts, "credentials" | "access">;
  readonly peers: Pick<PeerTransportParts, "credentials">;
  /** Of clients, and of who reads the metrics. */
  readonly tokens: TokenCheck;
  readonly limit: FailureLimit;
  /** By which coordinators prove that they are some, the newest first. */
  peerTokens(): readonly string[];
  /** `peer`: `host:port`. */
  mayReadMetrics(authorization: string | undefined, peer: string): MetricsAccess;
  /** Everything that must not be shown. */
  secrets(): readonly string[];
  start(): void;
  stop(): void;
}

export function createAccessSide(settings: Settings, parts: AccessSideParts): AccessSide {
  const { logger, recorder, renewLinks } = parts;
  let { serverTokens, scopedTokens, tls } = settings;
  const all = (): readonly ScopedToken[] => [
    ...serverTokens.map((token) => ({ token, scopes: SCOPES })),
    ...scopedTokens,
  ];
  const allSecrets = () => [
    ...all().map(({ token }) => token),
    settings.redisPassword ?? "",
    settings.functionRedisPassword ?? "",
  ];
  // What was valid once may still turn up in a late line.
  let secrets = allSecrets();
  const tokens = new TokenCheck(all());
  const limit = new FailureLimit({ perMinute: settings.maxAuthFailures });
  const access = new DoorAccess({
    tokens,
    limit,
    demandsPeerCertificate: tls !== undefined && settings.tlsClientCertificates !== "none",
    observer: {
      clientRefused: (why) => recorder.failed("client", why),
      peerRefused: (why) => recorder.failed("mesh", why),
    },
  });
  const credentials = tls && new DoorCredentials(tls, settings.tlsClientCertificates);
  if (tls) recorder.certificate(expiryOf(tls));

  const tokensChanged = (): void => {
    secrets = [...new Set([...allSecrets(), ...secrets])].slice(0, MAX_SECRETS);
    tokens.replace(all());
    access.recheck();
    renewLinks("the tokens have changed");
  };
  const watched = <T>(
    files: SecretFiles<T> | undefined,
    value: T,
    what: string,
    changed: (value: T) => void,
  ): WatchedFiles<T>[] => {
    if (!files) return [];
    const refused = (paths: readonly string[], problem: string): void => {
      recorder.reloaded("refused");
      logger.error({ files: paths }, `${what} changed and cannot be used, what was there before stays: ${problem}`);
    };
    return [
      new WatchedFiles({
        files,
        value,
        refused,
        changed(newer) {
          changed(newer);
          recorder.reloaded("changed");
          logger.info({ files: files.paths }, `${what} changed and is in use now`);
        },
      }),
    ];
  };
  const watches = [
    ...watched(serverTokenFiles(settings), serverTokens, "the serverToken", (newer) => {
      serverTokens = newer;
      tokensChanged();
    }),
    ...watched(scopedTokenFiles(settings), scopedTokens, "the file of tokens", (newer) => {
      scopedTokens = newer;
      tokensChanged();
    }),
    ...watched<TlsIdentity | undefined>(tlsFiles(settings), tls, "the certificate", (newer) => {
      if (!newer) return;
      tls = newer;
      credentials?.replace(newer);
      recorder.certificate(expiryOf(newer));
      renewLinks("the certificate has changed");
    }),
  ];
  const identity = (): TlsIdentity => {
    if (!tls) throw new Error("there is no TLS");
    return tls;
  };
  return {
    door: { credentials: credentials ?? INSECURE_DOOR, access },
    peers: { credentials: tls && peerCredentials(identity, settings.tlsServerName) },
    tokens,
    limit,
    peerTokens: () => [
      ...scopedTokens.filter(({ scopes }) => scopes.includes("peer")).map(({ token }) => token),
      ...serverTokens,
    ],
    mayReadMetrics(authorization, peer) {
      if (!settings.metricsNeedToken) return "yes";
      const refused = (reason: "token" | "scope" | "limit", answer: MetricsAccess): MetricsAccess => {
        recorder.failed("ops", reason);
        return answer;
      };
      if (!limit.admits("ops", peer)) return refused("limit", 429);
      const shown = tokens.shown(authorization);
      if (shown) return shown.scopes.has("metrics") ? "yes" : refused("scope", 403);
      limit.failedAt("ops", peer);
      return refused("token", 401);
    },
    secrets: () => secrets,
    start: () => {
      for (const watch of watches) watch.start();
    },
    stop: () => {
      for (const watch of watches) watch.stop();
    },
  };
}
