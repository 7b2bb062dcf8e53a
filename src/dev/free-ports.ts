import { once } from "node:events";
import { createServer, type Server } from "node:net";

import { Fault } from "../base/fault.ts";

/** From a Redis port to its coordinator's gRPC port, its ops port, and the cluster bus. */
export const PORT_OFFSETS = { coordinator: 1_000, ops: 2_000, bus: 10_000 } as const;

/** Most nodes of one block. */
export const BLOCK_SIZE = 20;

/**
 * Where blocks start. The windows and all their offsets lie below the range from which systems pick ports for outgoing
 * connections, and no port of one block is a port of another.
 */
const WINDOWS = [11_000, 14_000, 17_000];
const WINDOW_SIZE = 1_000;
/** Whoever listens here owns the block; the system lets go of it however the owner ends. */
const CLAIM_OFFSET = 11_000;

/** Ports `basePort` and up are the claimer's, at every offset, until it is disposed. */
export interface PortBlock extends AsyncDisposable {
  readonly basePort: number;
}

/** Claims a block of free ports for `count` nodes, against every other claimer on this machine. */
export async function claimPortBlock(count: number, random: () => number = Math.random): Promise<PortBlock> {
  if (count > BLOCK_SIZE) throw new Fault("INVALID_ARGUMENT", `${count} nodes do not fit in a block of ${BLOCK_SIZE}`);
  const bases = WINDOWS.flatMap((start) =>
    Array.from({ length: WINDOW_SIZE / BLOCK_SIZE }, (_, index) => start + index * BLOCK_SIZE),
  );
  const first = Math.floor(random() * bases.length);
  for (const basePort of [...bases.slice(first), ...bases.slice(0, first)]) {
    const claim = await listen(basePort + CLAIM_OFFSET);
    if (!claim) continue;
    claim.unref();
    if (await arePortsFree(basePort, count)) return { basePort, [Symbol.asyncDispose]: () => close(claim) };
    await close(claim);
  }
  throw new Fault("RESOURCE_EXHAUSTED", "no block of free ports is left on this machine");
}

/** Whether nobody listens on the ports of `count` nodes from `basePort` on, at any offset. */
export async function arePortsFree(basePort: number, count: number): Promise<boolean> {
  for (let index = 0; index < count; index++) {
    for (const offset of [0, ...Object.values(PORT_OFFSETS)]) {
      const server = await listen(basePort + index + offset);
      if (!server) return false;
      await close(server);
    }
  }
  return true;
}

async function listen(port: number): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy());
  try {
    server.listen({ host: "127.0.0.1", port, exclusive: true });
    await once(server, "listening");
    return server;
  } catch {
    return undefined;
  }
}

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}
