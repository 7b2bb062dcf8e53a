import { once } from "node:events";
import { connect } from "node:net";
import { Client, credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { type BenchProcess, startProcess } from "./child-process.ts";
import { echoService } from "./echo-service.ts";
import type { Call } from "./load.ts";

export interface EchoPeers extends AsyncDisposable {
  /** Plain grpc-js with proto-loader: one unary call. */
  readonly unary: Call;
  /** Bytes there and back on one TCP connection: what no protocol can beat. */
  readonly tcp: Call;
}

/** Starts a process that echoes `payload` both ways, and connects to it. */
export async function startEchoPeers(payload: Uint8Array): Promise<EchoPeers> {
  const server = await startProcess<{ unaryPort: number; tcpPort: number }>("support/echo-process.ts");
  const unary = connectUnary(server.ready.unaryPort, payload);
  const tcp = await connectTcp(server.ready.tcpPort, payload);
  return {
    unary: unary.call,
    tcp: tcp.call,
    [Symbol.asyncDispose]: () => closeAll(server, unary.close, tcp.close),
  };
}

async function closeAll(server: BenchProcess<unknown>, ...closers: (() => void)[]): Promise<void> {
  for (const close of closers) close();
  await server[Symbol.asyncDispose]();
}

function connectUnary(port: number, payload: Uint8Array): { readonly call: Call; readonly close: () => void } {
  const EchoClient = makeGenericClientConstructor(echoService(), "EchoService");
  const client = new EchoClient(`127.0.0.1:${port}`, credentials.createInsecure());
  const echo = client["Echo"]?.bind(client);
  if (echo === undefined) throw new Error("echo.proto has no method Echo");
  const call: Call = () =>
    new Promise((resolve, reject) => {
      echo({ payload }, (error: Error | null, answer: unknown) => (error ? reject(error) : resolve(answer)));
    });
  return { call, close: () => Client.prototype.close.call(client) };
}

/** Answers come in order and have the payload's size: no framing is needed. */
async function connectTcp(
  port: number,
  payload: Uint8Array,
): Promise<{ readonly call: Call; readonly close: () => void }> {
  const socket = connect(port, "127.0.0.1");
  socket.setNoDelay(true);
  await once(socket, "connect");
  const waiting: (() => void)[] = [];
  let bytes = 0;
  let answered = 0;
  socket.on("data", (chunk) => {
    bytes += chunk.length;
    for (; bytes >= payload.length; bytes -= payload.length) waiting[answered++]?.();
    if (answered === waiting.length) {
      waiting.length = 0;
      answered = 0;
    }
  });
  const call: Call = () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
      socket.write(payload);
    });
  return { call, close: () => socket.destroy() };
}
