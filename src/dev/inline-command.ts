import { createConnection } from "node:net";

import type { Address } from "../base/address.ts";

/**
 * Asks a Redis one thing whose answer is one line, without a client library: `PING`, `DBSIZE`. Resolves with the line
 * (`+PONG`, `:333`), or undefined where there is no answer within `timeoutMs`.
 */
export function askRedis({ host, port }: Address, command: string, timeoutMs = 5_000): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  let answer = "";
  const socket = createConnection({ host, port }, () => socket.write(`${command}\r\n`));
  socket.setEncoding("utf8");
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.on("data", (text) => {
    answer += text;
    if (answer.includes("\r\n")) socket.destroy();
  });
  socket.on("error", () => socket.destroy());
  socket.on("close", () => resolve(answer.includes("\r\n") ? answer.split("\r\n", 1)[0] : undefined));
  return promise;
}
