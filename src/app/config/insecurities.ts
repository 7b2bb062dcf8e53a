import { formatAddress } from "../../base/address.ts";
import { isLoopback } from "./address.ts";
import type { Settings } from "./settings.ts";

/** What a start warns of: secrets that cross a network in the clear. */
export function insecurities({ listen, opsListen, tls, metricsNeedToken }: Settings): readonly string[] {
  const warnings: string[] = [];
  if (!tls && !isLoopback(listen.host)) {
    warnings.push(
      `listen is ${formatAddress(listen)}, which other machines reach, and there is no TLS: tokens and data cross the network in the clear; set tlsCertFile, tlsKeyFile and tlsCaFile`,
    );
  }
  if (metricsNeedToken && !isLoopback(opsListen.host)) {
    warnings.push(
      `opsListen is ${formatAddress(opsListen)}, which other machines reach, and has no TLS: tokens of who reads the metrics cross the network in the clear; use tokens with the scope metrics alone there`,
    );
  }
  return warnings;
}
