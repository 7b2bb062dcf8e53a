import { type Address, formatAddress } from "../base/address.ts";
import { readReadiness } from "../telemetry/readiness.ts";
import { Daemon } from "./daemon.ts";
import { modulePath } from "./module-path.ts";
import type { Reaper } from "./reaper.ts";
import { surroundings } from "./surroundings.ts";

export interface CoordinatorProcessOptions {
  readonly redis: Address & { readonly socketPath: string };
  /** Where it listens. Default: 127.0.0.1. */
  readonly host?: string | undefined;
  /** Of gRPC. */
  readonly port: number;
  /** Of health and metrics. */
  readonly opsPort: number;
  readonly token: string;
  /** Made where it is missing; holds the log. */
  readonly directory: string;
  readonly reaper: Reaper;
  /** Further settings, as the coordinator reads them from its environment (`GEARMESH_...`). */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Path of a module that runs a coordinator of its own making, for tests. Default: `gearmesh serve`. */
  readonly entry?: string | undefined;
}

/** A coordinator as users run it: `gearmesh serve` in a process of its own, ready when its ops port says so. */
export class CoordinatorProcess extends Daemon {
  /** `host:port` of its gRPC door. */
  readonly address: string;
  /** `host:port` of its ops port. */
  readonly opsAddress: string;
  readonly #token: string;

  constructor(options: CoordinatorProcessOptions) {
    const { redis, host = "127.0.0.1", port, opsPort, token, directory, reaper, env, entry } = options;
    const address = formatAddress({ host, port });
    const opsAddress = formatAddress({ host, port: opsPort });
    // The token goes by the environment, since every user of the machine can read a command line.
    const settings = {
      GEARMESH_REDIS: formatAddress(redis),
      GEARMESH_REDIS_SOCKET: redis.socketPath,
      GEARMESH_LISTEN: address,
      GEARMESH_OPS_LISTEN: opsAddress,
      ...(env?.["GEARMESH_SERVER_TOKEN_FILE"] === undefined && { GEARMESH_SERVER_TOKEN: token }),
      ...env,
    };
    super(
      {
        name: `coordinator on port ${port}`,
        command: process.execPath,
        args: entry === undefined ? [modulePath("../cli/main", import.meta.url), "serve"] : [entry],
        env: { ...surroundings(), ...settings },
        directory,
        logName: `coordinator-${port}.log`,
        isReady: async () => (await readReadiness({ host, port: opsPort }))?.ready === true,
        readyWithinMs: 60_000,
        stopWithinMs: 30_000,
      },
      reaper,
    );
    this.address = address;
    this.opsAddress = opsAddress;
    this.#token = token;
  }

  /** How many links it has to others, by its metrics; 0 where it does not say. */
  async openLinks(): Promise<number> {
    const headers = { authorization: `Bearer ${this.#token}` };
    const metrics = await fetch(`http://${this.opsAddress}/metrics`, { headers }).then(
      (response) => response.text(),
      () => "",
    );
    return Number(/^gearmesh_links\{state="open"\} (\d+)$/m.exec(metrics)?.[1] ?? 0);
  }
}
