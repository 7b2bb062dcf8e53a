import { styleText } from "node:util";

import { Fault } from "../base/fault.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { runDemo } from "./demo.ts";
import { arePortsFree, PORT_OFFSETS } from "./free-ports.ts";
import { onInterrupt } from "./interrupt.ts";
import { StateDirectory } from "./state-directory.ts";

const SHARDS = 3;
const DEMO_KEYS = 1_000;
const DEFAULT_BASE_PORT = 7_001;
/** From one block of ports to the next that is tried. */
const BLOCK_STEP = 10;
/** The last block's offsets must stay below those of the first's coordinators. */
const LAST_BASE_PORT = DEFAULT_BASE_PORT + 900;

export interface DevOptions {
  /** End after the demo. Default: stay until SIGINT or SIGTERM. */
  readonly once?: boolean;
  /** First Redis port; the coordinators listen 1000 above. Default: 7001, or the next block that is free. */
  readonly basePort?: number | undefined;
  /** Where `.gearmesh/` is made. Default: the current directory. */
  readonly directory?: string;
  /** Default: stdout. Coloured where it is a terminal. */
  readonly output?: NodeJS.WriteStream;
}

/**
 * Brings up a cluster for development, shows what gearmesh does with it, and stays until it is told to end. Resolves once nothing of
 * it is left. Rejects with a Fault that says what to do where it cannot start.
 */
export async function runDev(options: DevOptions = {}): Promise<void> {
  const { once = false, directory = process.cwd(), output = process.stdout } = options;
  const print = (line: string) => output.write(`${line}\n`);
  const paint = (style: Parameters<typeof styleText>[0], text: string) => styleText(style, text, { stream: output });

  using interrupt = onInterrupt();
  try {
    await using state = await StateDirectory.claim(directory);
    const basePort = await choosePorts(options.basePort);
    print(paint("bold", `gearmesh: ${SHARDS} Redis masters and ${SHARDS} coordinators on this machine`));
    await using cluster = await startCluster({
      shards: SHARDS,
      basePort,
      directory: state.path,
      signal: interrupt.signal,
      onProgress: ({ done, total, what }) => print(`  ${paint("dim", `${done}/${total}`)} ${what}`),
    });
    await state.publish({ token: cluster.token, nodes: cluster.nodes.map(endpointsOf) });
    const { keysByShard, total } = await runDemo(cluster, DEMO_KEYS, (what) => print(`  ${what}`));
    print("");
    for (const [index, { redis }] of cluster.nodes.entries()) {
      print(`  shard ${index + 1} (Redis on port ${redis.port}): ${keysByShard[index]} keys`);
    }
    print(`  ${paint("bold", `total, counted by lib.my_dbsize: ${paint("green", total)}`)}`);
    if (!once) {
      for (const line of nextSteps(cluster)) print(line);
      await interrupt.received;
      print("stopping ...");
    }
  } catch (error) {
    // Told to end while it started: that is no failure.
    if (!interrupt.signal.aborted) throw error;
  }
}

async function choosePorts(asked: number | undefined): Promise<number> {
  if (asked !== undefined) {
    if (await arePortsFree(asked, SHARDS)) return asked;
    throw new Fault(
      "UNAVAILABLE",
      `ports ${asked} to ${asked + SHARDS - 1}, or those ${Object.values(PORT_OFFSETS).join(", ")} above, are taken; choose others`,
    );
  }
  for (let basePort = DEFAULT_BASE_PORT; basePort <= LAST_BASE_PORT; basePort += BLOCK_STEP) {
    if (await arePortsFree(basePort, SHARDS)) return basePort;
  }
  throw new Fault("UNAVAILABLE", `no free ports from ${DEFAULT_BASE_PORT} to ${LAST_BASE_PORT}; choose others`);
}

function endpointsOf({ redis, coordinator }: Cluster["nodes"][number]) {
  return { redisPort: redis.port, address: coordinator.address, opsAddress: coordinator.opsAddress };
}

function nextSteps({ nodes, directory }: Cluster): string[] {
  const [first] = nodes;
  return [
    "",
    ...nodes.map(
      ({ redis, coordinator }) =>
        `  Redis ${redis.host}:${redis.port}   gRPC ${coordinator.address}   metrics http://${coordinator.opsAddress}/metrics`,
    ),
    "",
    "Try in another terminal:",
    "  npm run -s gearmesh -- call lib.my_dbsize",
    "  npm run -s gearmesh -- call lib.get key:7",
    "  npm run -s gearmesh -- topology",
    `  redis-cli -c -p ${first?.redis.port} set x 1`,
    "",
    `Logs and the token are in ${directory}. Ctrl-C ends everything and leaves nothing behind.`,
  ];
}
