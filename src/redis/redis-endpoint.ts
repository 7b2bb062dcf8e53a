import { type Address, formatAddress } from "../base/address.ts";

/** Who we are to a Redis server; without a password nobody is named. */
export interface RedisCredentials {
  /** ACL user; Redis's own `default` where it is absent. */
  readonly username?: string;
  /** Secret: never in a log line, an error, a metric or an argument list. */
  readonly password?: string;
}

/** Where one Redis server listens and what it wants to know of us. */
export interface RedisEndpoint extends Address, RedisCredentials {
  /** Its Unix socket, which is connected to instead where it is given: the kernel does less for a command than over loopback. */
  readonly socketPath?: string;
}

/** For people: the way that is used. */
export function formatEndpoint(endpoint: RedisEndpoint): string {
  return endpoint.socketPath ?? formatAddress(endpoint);
}
