import type { Address } from "../base/address.ts";

/** Where one Redis server listens and what it wants to know of us. */
export interface RedisEndpoint extends Address {
  /** ACL user; Redis's own `default` where it is absent. */
  readonly username?: string;
  /** Secret: never in a log line, an error, a metric or an argument list. */
  readonly password?: string;
  /** Present: the connection is encrypted. */
  readonly tls?: RedisTls;
}

/** Certificates and keys as PEM text. */
export interface RedisTls {
  /** Whom to trust; the system's authorities where it is absent. */
  readonly ca?: string;
  /** Our own certificate and its key, where Redis asks for one (`tls-auth-clients`). */
  readonly cert?: string;
  readonly key?: string;
  /** The name the server's certificate must carry; the host where it is absent. */
  readonly serverName?: string;
}
