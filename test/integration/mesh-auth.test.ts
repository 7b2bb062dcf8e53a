import { randomBytes } from "node:crypto";
import { Client, credentials, type StatusObject, status } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { deadlineIn } from "../../src/base/deadline.ts";
import { LINK_METHOD } from "../../src/grpc/frame-methods.ts";
import type { Envelope } from "../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/mesh/frame-codec.ts";
import type { FrameStream, MeshTransport } from "../../src/mesh/frame-stream.ts";
import { InitiatorHandshake } from "../../src/mesh/handshake.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { eventually } from "../support/eventually.ts";
import { TEST_TOKEN } from "../support/mesh-node.ts";
import { grpcTransport, type ServedMesh, startLinkServer, startMesh } from "../support/mesh-server.ts";
import { startTcpProxy } from "../support/tcp-proxy.ts";

const OTHER_TOKEN = "some-other-token-of-the-tests";

const REQUEST: Envelope = {
  kind: "request",
  id: 1,
  timeoutMs: 1000,
  depth: 0,
  method: METHOD.CALL,
  body: Buffer.from("x"),
};

function context() {
  return { deadline: deadlineIn(30_000), signal: new AbortController().signal, depth: 0 };
}

function linkTo(a: ServedMesh, port: number): void {
  a.mesh.setPeers([{ nodeId: "b", address: `127.0.0.1:${port}` }]);
}

/** `a` links to `port` in vain: it is refused, says why in the log, and no message holds a secret. */
async function noLink(t: ExecutionContext, a: ServedMesh, port: number): Promise<string> {
  linkTo(a, port);
  const refused = () => a.log.find((each) => each.startsWith("linkFailed")) ?? "";
  const line = await eventually(refused, { what: "a refused link" });
  t.regex(line, /^linkFailed b UNAUTHENTICATED: /);
  t.false(a.log.some((each) => each.startsWith("linkOpened")));
  t.is(a.mesh.peer("b"), undefined);
  for (const secret of [TEST_TOKEN, OTHER_TOKEN]) t.false(a.log.join("\n").includes(secret));
  return line;
}

/** A client of the mesh service that is no coordinator: sends frames, and answers each frame by `answer` if it can. */
async function rawClient(
  port: number,
  first: Uint8Array,
  answer: (received: Envelope) => Uint8Array | undefined = () => undefined,
): Promise<{ readonly status: StatusObject; readonly received: readonly Envelope[] }> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(
    LINK_METHOD.path,
    LINK_METHOD.requestSerialize,
    LINK_METHOD.responseDeserialize,
  );
  const received: Envelope[] = [];
  call.on("data", (frame: Uint8Array) => {
    for (const envelope of decodeFrame(frame)) {
      received.push(envelope);
      const next = answer(envelope);
      if (next) call.write(next);
    }
  });
  call.on("error", () => undefined);
  call.write(first);
  const ended = await new Promise<StatusObject>((resolve) => call.on("status", resolve));
  client.close();
  return { status: ended, received };
}

/** Keeps what the initiating end sends. */
class RecordingTransport implements MeshTransport {
  readonly #inner = grpcTransport();
  readonly sent: Uint8Array[] = [];

  connect(address: string): FrameStream {
    const stream = this.#inner.connect(address);
    return {
      remoteAddress: stream.remoteAddress,
      send: (frame) => {
        this.sent.push(frame);
        return stream.send(frame);
      },
      close: (fault) => stream.close(fault),
      listen: (events) => stream.listen(events),
    };
  }
}

test("two coordinators link and call each other, and the token never crosses the wire", async (t) => {
  await using b = await startMesh({ nodeId: "b" });
  await using proxy = await startTcpProxy(b.port);
  await using a = await startMesh({ nodeId: "a" });
  linkTo(a, proxy.port);
  const peer = await a.mesh.whenLinked("b", deadlineIn(30_000));
  t.is(
    Buffer.from(await peer.request(METHOD.CALL, Buffer.from("a-marked-body"), context())).toString(),
    "a-marked-body",
  );
  const recorded = proxy.recorded();
  // The recording is complete: it has the handshake and both ways of the call.
  t.true(recorded.includes("gearmesh"));
  t.not(recorded.indexOf("a-marked-body"), recorded.lastIndexOf("a-marked-body"));
  const token = Buffer.from(TEST_TOKEN);
  for (const form of [token, token.toString("hex"), token.toString("base64"), token.toString("base64url")]) {
    t.false(recorded.includes(form));
  }
  // Base64 of something longer that contains the token would begin elsewhere: all three alignments.
  for (let offset = 0; offset < 3; offset++) {
    t.false(recorded.includes(token.subarray(offset, offset + 18).toString("base64")));
  }
});

test("a wrong token gets no link, at whichever end it is", async (t) => {
  await using b = await startMesh({ nodeId: "b" });
  await using a = await startMesh({ nodeId: "a", tokens: () => [OTHER_TOKEN] });
  t.regex(await noLink(t, a, b.port), /serverToken/);
  t.regex(b.log.join("\n"), /^inboundRefused 127\.0\.0\.1:\d+ UNAUTHENTICATED/m);
  t.false(b.log.some((line) => line.startsWith("inboundOpened")));
});

test("a token is replaced while the mesh runs: a link comes up as soon as the two have one in common", async (t) => {
  let tokens = [OTHER_TOKEN];
  await using b = await startMesh({ nodeId: "b", tokens: () => tokens });
  await using a = await startMesh({ nodeId: "a" });
  await noLink(t, a, b.port);
  tokens = [OTHER_TOKEN, TEST_TOKEN];
  t.is((await a.mesh.whenLinked("b", deadlineIn(30_000))).nodeId, "b");
});

test("a coordinator of another namespace gets no link", async (t) => {
  await using b = await startMesh({ nodeId: "b", self: { namespace: "other" } });
  await using a = await startMesh({ nodeId: "a" });
  t.regex(await noLink(t, a, b.port), /setting namespace/);
});

test("a coordinator that stands beside another node than expected gets no link", async (t) => {
  await using c = await startMesh({ nodeId: "c" });
  await using a = await startMesh({ nodeId: "a" });
  t.regex(await noLink(t, a, c.port), /beside Redis node c, not b/);
});

test("a coordinator whose release is too far from ours gets no link, and either end says which versions each speaks", async (t) => {
  await using b = await startMesh({ nodeId: "b" });
  for (const [version, oldestVersion] of [
    [0, 0],
    [9, 8],
  ] as const) {
    const hello: Envelope = {
      kind: "hello",
      version,
      oldestVersion,
      namespace: "gearmesh",
      nodeId: "a",
      runId: "of another release",
      expectedNodeId: "b",
      nonce: randomBytes(32),
      topologyHash: "",
    };
    const { status: ended, received } = await rawClient(b.port, encodeFrame([hello]));
    t.is(ended.code, status.UNAUTHENTICATED);
    t.regex(ended.details, new RegExp(`speaks mesh protocol ${version ? "8 to 9" : "0"}, this one 1 to 2: update`));
    t.deepEqual(received, []);
  }
  await using newer = await startLinkServer((call) => {
    const challenge: Envelope = {
      kind: "challenge",
      version: 9,
      nodeId: "b",
      runId: "of another release",
      nonce: randomBytes(32),
      topologyHash: "",
    };
    call.on("error", () => undefined);
    call.on("data", () => call.write(encodeFrame([challenge])));
    call.on("end", () => call.end());
  });
  await using a = await startMesh({ nodeId: "a" });
  t.regex(await noLink(t, a, newer.port), /speaks mesh protocol 9, this one 1 to 2: update/);
});

test("a coordinator does not link to itself", async (t) => {
  await using a = await startMesh({ nodeId: "b" });
  t.regex(await noLink(t, a, a.port), /does not link to itself/);
});

for (const [how, macs] of [
  ["sends the initiator's proof back", (proof: Envelope & { kind: "proof" }) => [...proof.macs]],
  ["makes a proof up", () => [randomBytes(32)]],
  ["proves nothing", () => []],
] as const) {
  test(`a false acceptor that does not know the token and ${how} gets no link`, async (t) => {
    await using falseAcceptor = await startLinkServer((call) => {
      const challenge: Envelope = {
        kind: "challenge",
        version: 1,
        nodeId: "b",
        runId: "false",
        nonce: randomBytes(32),
        topologyHash: "",
      };
      call.on("error", () => undefined);
      call.on("end", () => call.end());
      call.on("data", (frame: Uint8Array) => {
        const [envelope] = decodeFrame(frame);
        if (envelope?.kind === "hello") call.write(encodeFrame([challenge]));
        if (envelope?.kind === "proof") call.write(encodeFrame([{ kind: "proof", macs: macs(envelope) }]));
      });
    });
    await using a = await startMesh({ nodeId: "a" });
    t.regex(await noLink(t, a, falseAcceptor.port), /acceptor did not prove/);
  });
}

test("a recorded handshake opens no second link", async (t) => {
  const transport = new RecordingTransport();
  await using b = await startMesh({ nodeId: "b" });
  await using a = await startMesh({ nodeId: "a", transport });
  linkTo(a, b.port);
  await a.mesh.whenLinked("b", deadlineIn(30_000));
  const [hello, proof] = transport.sent as [Uint8Array, Uint8Array];
  t.is(decodeFrame(proof)[0]?.kind, "proof");
  const { status: ended, received } = await rawClient(b.port, hello, ({ kind }) =>
    kind === "challenge" ? proof : undefined,
  );
  t.is(ended.code, status.UNAUTHENTICATED);
  t.deepEqual(ended.metadata.get("gearmesh-code"), ["UNAUTHENTICATED"]);
  t.deepEqual(
    received.map(({ kind }) => kind),
    ["challenge"],
  );
});

test("a client that skips the handshake, or sends requests along with it, is not served", async (t) => {
  let served = 0;
  await using b = await startMesh({
    nodeId: "b",
    handler: async (body) => {
      served++;
      return body;
    },
  });
  const self = { namespace: "gearmesh", nodeId: "x", runId: "x" };
  const { hello } = new InitiatorHandshake({ self, tokens: [], topologyHash: "", randomBytes }, "");
  const attempts: [Uint8Array, Uint8Array | undefined][] = [
    [encodeFrame([REQUEST]), undefined],
    [encodeFrame([hello, REQUEST]), undefined],
    [encodeFrame([hello]), encodeFrame([REQUEST])],
    [encodeFrame([{ kind: "proof", macs: [randomBytes(32)] }]), undefined],
    [Buffer.alloc(100_000), undefined],
    [Buffer.from("not a frame"), undefined],
  ];
  for (const [first, next] of attempts) {
    const { status: ended } = await rawClient(b.port, first, () => next);
    t.is(ended.code, status.UNAUTHENTICATED, ended.details);
  }
  t.is(served, 0);
});
