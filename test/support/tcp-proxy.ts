import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy that keeps a copy of all that passes, and can cut or stall its connections. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** All bytes that passed, either way. */
  recorded(): Buffer;
  /** Connections that are open. */
  connections(): number;
  /** Breaks every connection. */
  cut(): void;
  /** Breaks every connection, and each that comes, until `mend`. */
  refuse(): void;
  /** Connections stay open and new ones are taken, but nothing passes any more until `mend`. */
  stall(): void;
  mend(): void;
}

/** `keep`: whether what passes is to be kept. */
export async function startTcpProxy(targetPort: number, { keep = true } = {}): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const chunks: Buffer[] = [];
  let state: "open" | "refusing" | "stalled" = "open";
  const pairs = new Set<readonly [Socket, Socket]>();
  const join = ([near, far]: readonly [Socket, Socket]): void => {
    near.pipe(far);
    far.pipe(near);
  };
  const server = createServer((near) => {
    if (state === "refusing") {
      near.destroy();
      return;
    }
    const far = connect(targetPort, "127.0.0.1");
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      if (keep) from.on("data", (chunk: Buffer) => chunks.push(chunk));
      from.on("error", () => to.destroy());
      from.on("close", () => {
        sockets.delete(from);
        pairs.delete(pair);
        to.destroy();
      });
    }
    if (state === "open") join(pair);
    else for (const socket of pair) socket.pause();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    recorded: () => Buffer.concat(chunks),
    connections: () => pairs.size,
    cut,
    refuse() {
      state = "refusing";
      cut();
    },
    stall() {
      state = "stalled";
      for (const socket of sockets) socket.unpipe().pause();
    },
    mend() {
      if (state === "stalled") for (const pair of pairs) join(pair);
      state = "open";
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}
