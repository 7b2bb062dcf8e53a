import { formatAddress } from "../../base/address.ts";
import { isLoopback } from "./address.ts";
import type { SettingKey } from "./schema.ts";
import type { Settings } from "./settings.ts";

/** What is wrong between settings that are each valid by themselves. `given`: those that a source set. */
export function relationProblems(settings: Settings, given: ReadonlySet<SettingKey>): readonly string[] {
  const { listen, opsListen, heartbeatMs, topologyIntervalMs, leaseMs } = settings;
  const { callTimeoutMs, maxCallTimeoutMs, maxResultBytes, maxMessageBytes, linkMaxInFlightBytes } = settings;
  const problems: string[] = [];
  const check = (holds: boolean, problem: string) => {
    if (!holds) problems.push(problem);
  };
  check(
    given.has("serverToken") || given.has("serverTokenFile"),
    "serverToken is not set: put a token of 16 characters at least into GEARMESH_SERVER_TOKEN, or into a file that serverTokenFile names; `openssl rand -hex 32` makes one",
  );
  for (const [value, file] of [
    ["serverToken", "serverTokenFile"],
    ["redisPassword", "redisPasswordFile"],
    ["functionRedisPassword", "functionRedisPasswordFile"],
  ] as const) {
    check(!(given.has(value) && given.has(file)), `${value} and ${file} are both set: leave one out`);
  }
  check(
    settings.redisUsername === undefined || given.has("redisPassword") || given.has("redisPasswordFile"),
    "redisUsername is set without redisPassword or redisPasswordFile",
  );
  check(
    given.has("functionRedisUsername") ===
      (given.has("functionRedisPassword") || given.has("functionRedisPasswordFile")),
    "functionRedisUsername and its password (functionRedisPassword or functionRedisPasswordFile) are set only together",
  );
  for (const [key, address] of [
    ["listen", listen],
    ["opsListen", opsListen],
  ] as const) {
    check(address.port <= 65_535, `${key} would be port ${address.port}, which does not exist: set ${key}`);
  }
  check(
    listen.port === 0 || listen.port !== opsListen.port || listen.host !== opsListen.host,
    `listen and opsListen are both ${formatAddress(listen)}: change one`,
  );
  const tlsKeys = ["tlsCertFile", "tlsKeyFile", "tlsCaFile"] as const;
  const tlsGiven = tlsKeys.filter((key) => given.has(key));
  check(
    tlsGiven.length === 0 || tlsGiven.length === tlsKeys.length,
    `${tlsGiven.join(" and ")} is set alone: ${tlsKeys.join(", ")} are set only together`,
  );
  check(
    settings.allowInsecure || isLoopback(listen.host) || tlsGiven.length > 0,
    `listen is ${formatAddress(listen)}, which other machines reach, and there is no TLS: set tlsCertFile, tlsKeyFile and tlsCaFile, use 127.0.0.1, or set allowInsecure where the network is trusted`,
  );
  const leastLeaseMs = 2 * (heartbeatMs + topologyIntervalMs);
  check(
    leaseMs === 0 || settings.mode === "manual" || leaseMs >= leastLeaseMs,
    `leaseMs (${leaseMs}) must be at least twice heartbeatMs and topologyIntervalMs together (${leastLeaseMs}), or one lost message ends the lease; 0 turns it off`,
  );
  check(
    callTimeoutMs <= maxCallTimeoutMs,
    `callTimeoutMs (${callTimeoutMs}) must not be more than maxCallTimeoutMs (${maxCallTimeoutMs})`,
  );
  check(
    maxResultBytes < maxMessageBytes,
    `maxResultBytes (${maxResultBytes}) must be less than maxMessageBytes (${maxMessageBytes}), or a result does not fit into a message`,
  );
  check(
    settings.taskMinWorkers <= settings.taskMaxWorkers,
    `taskMinWorkers (${settings.taskMinWorkers}) must not be more than taskMaxWorkers (${settings.taskMaxWorkers})`,
  );
  check(
    !given.has("maxTaskBytes") || settings.maxTaskBytes < maxMessageBytes,
    `maxTaskBytes (${settings.maxTaskBytes}) must be less than maxMessageBytes (${maxMessageBytes}), or a task does not fit into a message`,
  );
  check(
    maxMessageBytes <= linkMaxInFlightBytes,
    `linkMaxInFlightBytes (${linkMaxInFlightBytes}) must be at least maxMessageBytes (${maxMessageBytes}), or one message does not fit onto a link`,
  );
  return problems;
}
