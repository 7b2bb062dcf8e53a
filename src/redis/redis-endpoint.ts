import type { Address } from "../base/address.ts";

/** Where one Redis server listens and what it wants to know of us. */
export interface RedisEndpoint extends Address {
  /** ACL user; Redis's own `default` where it is absent. */
  readonly username?: string;
  /** Secret: never in a log line, an error, a metric or an argument list. */
  readonly password?: string;
}
