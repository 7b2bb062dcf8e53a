import { once } from "node:events";
import { createConnection } from "node:net";

/** Longest that a probe waits. Unit: ms. */
const TIMEOUT_MS = 2_000;

/** As the kubelet's httpGet: whether there is an answer from 200 to 399. */
export async function isHttpOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 400;
  } catch {
    return false;
  }
}

/** As the kubelet's tcpSocket: whether a connection is taken. */
export async function isOpen(host: string, port: number): Promise<boolean> {
  const socket = createConnection({ host, port });
  try {
    await once(socket, "connect", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
