import { promisify } from "node:util";
import { Client, credentials, Server, ServerCredentials, type StatusObject, status } from "@grpc/grpc-js";
import test from "ava";
import { deadlineIn } from "../../src/base/deadline.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { CALL_STREAM_METHOD } from "../../src/grpc/frame-methods.ts";
import { frameHandler } from "../../src/grpc/link-service.ts";
import { ClientFrameStream } from "../../src/grpc/peer-transport.ts";
import type { Envelope } from "../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/mesh/frame-codec.ts";
import { DEFAULT_STREAM_LIMITS } from "../../src/mesh/limits.ts";
import { type Handler, METHOD } from "../../src/mesh/method.ts";
import { Requester } from "../../src/mesh/requester.ts";
import { Responder } from "../../src/mesh/responder.ts";
import { eventually } from "../support/eventually.ts";

/** A server whose call stream runs `handler`, without any handshake: who may call is settled before. */
async function startServer(handler: Handler) {
  const responders = new Set<Responder>();
  const wheel = new TimerWheel();
  const server = new Server();
  const handleStream = frameHandler((stream) => {
    const responder: Responder = new Responder({
      stream,
      handlers: new Map([[METHOD.CALL, handler]]),
      wheel,
      limits: DEFAULT_STREAM_LIMITS,
      defaultTimeoutMs: 5000,
      pong: () => ({ topologyHash: "", confirmation: new Uint8Array(), nodeName: "" }),
      events: { handlerFailed: () => undefined, closed: () => responders.delete(responder) },
    });
    responders.add(responder);
    stream.listen(responder);
  });
  server.addService({ CallStream: CALL_STREAM_METHOD }, { CallStream: handleStream });
  const port = await promisify(server.bindAsync.bind(server))("127.0.0.1:0", ServerCredentials.createInsecure());
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = CALL_STREAM_METHOD;
  return {
    responders,
    open: () => client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize),
    async [Symbol.asyncDispose]() {
      client.close();
      // Resolves only when no stream is left open: a leaked one fails the test by its time limit.
      await promisify(server.tryShutdown.bind(server))();
    },
  };
}

function request(id: number, text: string, timeoutMs = 5000): Envelope {
  return { kind: "request", id, timeoutMs, depth: 0, method: METHOD.CALL, body: Buffer.from(text) };
}

test("a client that writes its requests and half-closes gets every answer, then OK", async (t) => {
  await using server = await startServer(async (body) => body);
  const call = server.open();
  const answers: Envelope[] = [];
  call.on("data", (frame: Uint8Array) => answers.push(...decodeFrame(frame)));
  call.on("error", () => undefined);
  const ended = new Promise<StatusObject>((resolve) => call.on("status", resolve));
  for (let id = 1; id <= 100; id++) call.write(encodeFrame([request(id, `request ${id}`)]));
  call.end();
  t.is((await ended).code, status.OK);
  t.deepEqual(
    answers.map((each) => (each.kind === "response" ? [each.id, Buffer.from(each.result).toString()] : each)),
    Array.from({ length: 100 }, (_, i) => [i + 1, `request ${i + 1}`]),
  );
  t.is(server.responders.size, 0);
});

test("a malformed frame ends the stream with INVALID_ARGUMENT, in the status and in the trailer", async (t) => {
  await using server = await startServer(async (body) => body);
  const call = server.open();
  call.on("data", () => undefined);
  call.on("error", () => undefined);
  call.write(Buffer.from([0x0a, 0xff]));
  const ended = await new Promise<StatusObject>((resolve) => call.on("status", resolve));
  t.is(ended.code, status.INVALID_ARGUMENT);
  t.deepEqual(ended.metadata.get("gearmesh-code"), ["INVALID_ARGUMENT"]);
});

test("a client that vanishes takes its requests with it", async (t) => {
  let aborted = false;
  await using server = await startServer((_body, { signal }) => {
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  });
  const call = server.open();
  call.on("error", () => undefined);
  call.write(encodeFrame([request(1, "x", 60_000)]));
  await eventually(() => [...server.responders].some(({ running }) => running === 1), { what: "a running request" });
  call.cancel();
  await eventually(() => aborted && server.responders.size === 0, { what: "the request aborted" });
  t.pass();
});

test("a requester works over a call stream, and closes it cleanly", async (t) => {
  await using server = await startServer(async (body) => body);
  const stream = new ClientFrameStream("the server", server.open(), () => undefined);
  const closed = Promise.withResolvers<string>();
  const requester = new Requester({
    nodeId: "the server",
    stream,
    wheel: new TimerWheel(),
    limits: DEFAULT_STREAM_LIMITS,
    events: { closed: (fault) => closed.resolve(fault.message) },
  });
  stream.listen(requester);
  const context = { deadline: deadlineIn(5000), signal: new AbortController().signal, depth: 0 };
  t.is(Buffer.from(await requester.request(METHOD.CALL, Buffer.from("x"), context)).toString(), "x");
  requester.retire("done");
  t.is(await closed.promise, "done");
  await eventually(() => server.responders.size === 0, { what: "the stream ended at the server" });
});
