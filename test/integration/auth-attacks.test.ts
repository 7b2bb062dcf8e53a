import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { connect as connectHttp2, constants } from "node:http2";
import { connect as connectPlain } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { Client, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { connect } from "../../src/client/client.ts";
import { type ClientTls, clientCredentials } from "../../src/client/client-tls.ts";
import { encodeRpcCall } from "../../src/client/rpc.ts";
import type { CoordinatorProcess } from "../../src/dev/coordinator-process.ts";
import { LINK_METHOD } from "../../src/grpc/frame-methods.ts";
import type { Envelope } from "../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../src/mesh/frame-codec.ts";
import { InitiatorHandshake } from "../../src/mesh/handshake.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { Authority, type CertificateFiles, replaceText } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { faultOf, faultText } from "../support/fault-of.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";
import { metricOf } from "../support/metrics-of.ts";
import { FIRST_TOKEN, type SecuredCluster, startSecuredCluster } from "../support/secured-cluster.ts";

const SCOPED = {
  call: "the-token-that-may-call",
  admin: "the-token-that-may-administer",
  peer: "the-token-of-coordinators",
  metrics: "the-token-of-prometheus",
  "call,admin": "the-token-of-an-operator",
};

let secured: SecuredCluster;
let target: CoordinatorProcess;
/** Of the authority that the coordinators believe. */
let known: CertificateFiles;
let stranger: CertificateFiles;

test.before(async () => {
  secured = await startSecuredCluster({
    shards: 2,
    tokens: Object.entries(SCOPED)
      .map((line) => line.join(" "))
      .join("\n"),
    env: { GEARMESH_METRICS_NEED_TOKEN: "true", GEARMESH_MAX_AUTH_FAILURES: "10000" },
  });
  const [node] = secured.nodes;
  if (!node) throw new Error("there is no node");
  target = node.coordinator;
  await using client = secured.client(node);
  await client.load(PLAIN_LIBRARY);
  known = await secured.authority.issue();
  const authority = await Authority.create(secured.directory, "stranger");
  stranger = await authority.issue();
});

test.after.always(async () => {
  await secured?.[Symbol.asyncDispose]();
});

async function failures(door: string, reason: string): Promise<number> {
  return metricOf(target, `gearmesh_auth_failures_total{door="${door}",reason="${reason}"}`, FIRST_TOKEN);
}

/** `attempt` is counted so often as a failure of this kind. */
async function counted(
  t: ExecutionContext,
  [door, reason]: readonly [string, string],
  times: number,
  attempt: () => Promise<void>,
): Promise<void> {
  const before = await failures(door, reason);
  await attempt();
  const what = `${times} more failures of ${door}, ${reason}`;
  await eventually(async () => (await failures(door, reason)) >= before + times, { what });
  t.is(await failures(door, reason), before + times);
}

interface Attempt {
  readonly path?: string;
  readonly metadata?: Metadata;
  readonly tls?: ClientTls;
}

/** How a call with an empty request ends. */
function attempt({ path = "/gearmesh.v1.FunctionService/List", metadata = new Metadata(), tls }: Attempt) {
  const trust = { caFile: secured.authority.caFile, ...tls };
  const client = new Client(target.address, clientCredentials(trust), { "grpc.use_local_subchannel_pool": 1 });
  const same = (bytes: Buffer) => bytes;
  return new Promise<StatusObject>((resolve) => {
    const deadline = { deadline: Date.now() + 60_000 };
    const call = client.makeBidiStreamRequest(path, same, same, metadata, deadline);
    call.on("data", () => undefined);
    call.on("error", () => undefined);
    call.on("status", resolve);
    call.write(Buffer.alloc(0));
    call.end();
  }).finally(() => client.close());
}

function metadataOf(...items: readonly (readonly [string, string])[]): Metadata {
  const metadata = new Metadata();
  for (const [key, value] of items) metadata.add(key, value);
  return metadata;
}

test.serial("no token, and everything that is not quite one, is refused and counted", async (t) => {
  const wrong = [
    "",
    "Bearer",
    "Bearer ",
    FIRST_TOKEN,
    `Basic ${FIRST_TOKEN}`,
    `Bearer ${FIRST_TOKEN.slice(0, -1)}`,
    `Bearer ${FIRST_TOKEN.slice(0, 1)}`,
    `Bearer ${FIRST_TOKEN}x`,
    `Bearer ${FIRST_TOKEN.toUpperCase()}`,
    `Bearer ${FIRST_TOKEN}, Bearer ${FIRST_TOKEN}`,
    `Bearer ${"x".repeat(FIRST_TOKEN.length)}`,
    `Bearer ${SCOPED.call}${SCOPED.admin}`,
    `Bearer ${"0".repeat(8000)}`,
  ];
  await counted(t, ["client", "token"], wrong.length + 1, async () => {
    t.is((await attempt({})).code, status.UNAUTHENTICATED);
    for (const header of wrong) {
      const { code, details } = await attempt({ metadata: metadataOf(["authorization", header]) });
      t.is(code, status.UNAUTHENTICATED, header);
      t.notRegex(details, /the-first|the-token/);
    }
  });
});

test.serial("how long a refusal takes says nothing of how much of a token is right", async (t) => {
  const rounds = 150;
  const guesses = { none: "x".repeat(FIRST_TOKEN.length), most: `${FIRST_TOKEN.slice(0, -1)}x` };
  const client = new Client(target.address, clientCredentials({ caFile: secured.authority.caFile }));
  const same = (bytes: Buffer) => bytes;
  const timed = (guess: string) =>
    new Promise<number>((resolve) => {
      const startedAt = performance.now();
      const metadata = metadataOf(["authorization", `Bearer ${guess}`]);
      const path = "/gearmesh.v1.FunctionService/List";
      client.makeUnaryRequest(path, same, same, Buffer.alloc(0), metadata, () =>
        resolve(performance.now() - startedAt),
      );
    });
  await counted(t, ["client", "token"], 2 * rounds, async () => {
    const times: Record<keyof typeof guesses, number[]> = { none: [], most: [] };
    for (let round = 0; round < rounds; round++) {
      // By turns, so that whatever else the machine does is in both.
      for (const kind of ["none", "most"] as const) times[kind].push(await timed(guesses[kind]));
    }
    const medians = [times.none, times.most].map((each) => each.sort((x, y) => x - y)[rounds / 2] ?? 0);
    const [none = 0, most = 0] = medians;
    // A comparison that ends at the first difference shows nanoseconds; anything near the noise of a network is far more.
    t.true(Math.abs(none - most) < 0.5 * Math.max(none, most), `medians of ${none} and ${most} ms`);
  });
  client.close();
});

test.serial("a token does what its scopes are for and nothing else, and each attempt at more is counted", async (t) => {
  const { address } = target;
  const tls = { caFile: secured.authority.caFile };
  const as = (token: string) => connect({ address, token, tls });
  await using caller = as(SCOPED.call);
  await using admin = as(SCOPED.admin);
  await using peer = as(SCOPED.peer);
  await using metrics = as(SCOPED.metrics);
  t.is(await caller.call("plain.args"), 0n);
  await admin.load(PLAIN_LIBRARY, { replace: true });
  t.true((await admin.refreshCluster()).length === 2);
  await counted(t, ["client", "scope"], 8, async () => {
    const refused = [
      caller.load(PLAIN_LIBRARY, { replace: true }),
      caller.delete("plain"),
      caller.rollback("plain"),
      caller.refreshCluster(),
      admin.call("plain.args"),
      peer.call("plain.args"),
      metrics.list(),
      metrics.topology(),
    ];
    for (const one of refused) t.is((await faultOf(one)).code, "PERMISSION_DENIED");
  });
  const read = async (token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(`http://${target.opsAddress}/metrics`, { headers })).status;
  };
  t.is(await read(SCOPED.metrics), 200);
  await counted(t, ["ops", "token"], 2, async () => {
    t.is(await read(), 401);
    t.is(await read("x".repeat(20)), 401);
  });
  await counted(t, ["ops", "scope"], 2, async () => {
    t.is(await read(SCOPED.call), 403);
    t.is(await read(SCOPED.admin), 403);
  });
});

test.serial("methods of operators are refused to who may only call, whatever way the call comes", async (t) => {
  const as = (token: string) => connect({ address: target.address, token, tls: { caFile: secured.authority.caFile } });
  await using caller = as(SCOPED.call);
  await using connection = await caller.open();
  await using stream = caller.stream();
  const overStream = (method: string) => stream.requests(METHOD.RPC_CALL, encodeRpcCall(method, {}), {});
  const args = ["all", "silent"];
  for (const target of ["all", { node: "gearmesh-2" }, { key: "k" }, { connection: connection.id }] as const) {
    for (const wait of ["all", "none"] as const) {
      await counted(t, ["client", "scope"], 2, async () => {
        const refused = [
          caller.rpc("log.level", { args, target, wait }),
          connection.rpc("topology.refresh", { target, wait }),
        ];
        for (const one of refused) t.is((await faultOf(one)).code, "PERMISSION_DENIED");
      });
    }
  }
  await counted(t, ["client", "scope"], 1, async () => {
    t.is((await faultOf(overStream("topology.refresh"))).code, "PERMISSION_DENIED");
  });
  t.is((await faultOf(caller.apply(connection.id, "log.level", args))).code, "UNKNOWN_METHOD");
  t.is((await faultOf(connection.registerMethod("log.level", () => null))).code, "METHOD_EXISTS");
  t.is((await caller.rpc("node.info")).length, 2);

  await using operator = as(SCOPED["call,admin"]);
  await using operated = await operator.open();
  for (const replies of [await operator.rpc("log.level"), await operated.rpc("log.level")]) {
    t.is(replies.length, 2);
    for (const reply of replies) t.like(reply, { value: { rpc: "info", mesh: "info" } }, "nobody has changed it");
  }
});

test.serial(
  "a stream does no more than its token may now, even where that could do more when it was opened",
  async (t) => {
    const [node] = secured.nodes;
    if (!node) return t.fail();
    const token = SCOPED["call,admin"];
    await using operator = connect({ address: target.address, token, tls: { caFile: secured.authority.caFile } });
    await using connection = await operator.open();
    const { id } = connection;
    t.is((await connection.rpc("log.level")).length, 2);
    const fewer = Object.entries(SCOPED).map(([scopes, each]) => `${each === token ? "call" : scopes} ${each}\n`);
    await secured.change(node, ({ tokens }) => replaceText(tokens, fewer.join("")));
    const counted = await failures("client", "scope");
    // Until the connection has its next stream it says UNAVAILABLE.
    const isRefused = async () => (await faultOf(connection.rpc("log.level"))).code === "PERMISSION_DENIED";
    await eventually(isRefused, { what: "a refusal" });
    t.is(await failures("client", "scope"), counted + 1);
    t.is((await connection.rpc("ping")).length, 2);
    t.is(connection.id, id, "it goes on by another stream");
  },
);

test.serial("names that are almost those of methods lead nowhere, with a token and without", async (t) => {
  const paths = [
    "/gearmesh.v1.FunctionService/call",
    "/gearmesh.v1.FunctionService/Call/",
    "//gearmesh.v1.FunctionService/Call",
    "/gearmesh.v1.FunctionService/../FunctionService/Call",
    "/gearmesh.v1.FunctionService/%43all",
    "/gearmesh.v1.FunctionService/Call?x=/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Check/../../gearmesh.v1.FunctionService/Call",
    "/gearmesh.v1.functionservice/Call",
    "/gearmesh.v1.FunctionService/__proto__",
    "/__proto__/constructor",
    "/",
  ];
  const series =
    'grpc_server_handled_total{grpc_type="unary",grpc_service="_OTHER",grpc_method="_OTHER",grpc_code="UNIMPLEMENTED"}';
  for (const path of paths) {
    t.is((await attempt({ path })).code, status.UNIMPLEMENTED, path);
    const metadata = metadataOf(["authorization", `Bearer ${SCOPED.call}`]);
    t.is((await attempt({ path, metadata })).code, status.UNIMPLEMENTED, path);
  }
  t.is(await metricOf(target, series, FIRST_TOKEN), 2 * paths.length);
});

test.serial("reflection tells nobody anything who has no token, or one for something else", async (t) => {
  const paths = ["v1", "v1alpha"].map((version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`);
  await counted(t, ["client", "token"], paths.length, async () => {
    for (const path of paths) t.is((await attempt({ path })).code, status.UNAUTHENTICATED);
  });
  await counted(t, ["client", "scope"], paths.length, async () => {
    const metadata = metadataOf(["authorization", `Bearer ${SCOPED.metrics}`]);
    for (const path of paths) t.is((await attempt({ path, metadata })).code, status.PERMISSION_DENIED);
  });
});

test.serial("metadata that is too large is refused before it is looked at, and counted", async (t) => {
  const right = ["authorization", `Bearer ${FIRST_TOKEN}`] as const;
  await counted(t, ["client", "metadata"], 2, async () => {
    const long = metadataOf(right, ["x", "y".repeat(40_000)]);
    t.is((await attempt({ metadata: long })).code, status.RESOURCE_EXHAUSTED);
    const many = metadataOf(right, ...Array.from({ length: 600 }, (_, i) => [`x-${i}`, "y".repeat(40)] as const));
    t.is((await attempt({ metadata: many })).code, status.RESOURCE_EXHAUSTED);
  });
  await counted(t, ["http2", "protocol"], 1, async () => {
    t.not((await attempt({ metadata: metadataOf(right, ["x", "y".repeat(500_000)]) })).code, status.OK);
  });
  await using client = connect({
    address: target.address,
    token: FIRST_TOKEN,
    tls: { caFile: secured.authority.caFile },
  });
  t.is(await client.health(), "serving");
});

test.serial("a connection without TLS, with an old version of it or a weak cipher does not come about", async (t) => {
  const [host = "", port = ""] = target.address.split(":");
  const ended = (options: ConnectionOptions) =>
    new Promise<string>((resolve) => {
      const socket = connectTls({
        host,
        port: Number(port),
        ALPNProtocols: ["h2"],
        rejectUnauthorized: false,
        ...options,
      });
      socket.once("secureConnect", () => {
        resolve(`connected by ${socket.getProtocol()}`);
        socket.destroy();
      });
      socket.once("error", (error) => resolve(error.message));
    });
  t.regex(await ended({ maxVersion: "TLSv1.2" }), /connected by TLSv1\.2/, "the oldest that is taken");
  await counted(t, ["tls", "handshake"], 5, async () => {
    const legacy = { ciphers: "DEFAULT:@SECLEVEL=0" };
    t.regex(await ended({ ...legacy, minVersion: "TLSv1", maxVersion: "TLSv1" }), /alert|version/);
    t.regex(await ended({ ...legacy, minVersion: "TLSv1.1", maxVersion: "TLSv1.1" }), /alert|version/);
    t.regex(await ended({ maxVersion: "TLSv1.2", ciphers: "AES128-SHA" }), /alert|cipher/);
    t.regex(await ended({ ALPNProtocols: ["http/1.1"] }), /alert|protocol/);
    const { promise, resolve } = Promise.withResolvers<void>();
    const plain = connectPlain({ host, port: Number(port) }, () => plain.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    plain.on("error", () => undefined);
    plain.once("close", () => resolve());
    plain.resume();
    await promise;
  });
});

/** A link that opens as a coordinator's does, and goes on by `answer`. */
function link(
  first: Uint8Array,
  tls: ClientTls,
  answer: (received: Envelope) => Uint8Array | undefined = () => undefined,
  address = target.address,
): Promise<StatusObject> {
  const trust = { caFile: secured.authority.caFile, ...tls };
  const client = new Client(address, clientCredentials(trust), { "grpc.use_local_subchannel_pool": 1 });
  const call = client.makeBidiStreamRequest(
    LINK_METHOD.path,
    LINK_METHOD.requestSerialize,
    LINK_METHOD.responseDeserialize,
  );
  call.on("data", (frame: Uint8Array) => {
    for (const envelope of decodeFrame(frame)) {
      const next = answer(envelope);
      if (next) call.write(next);
    }
  });
  call.on("error", () => undefined);
  call.write(first);
  return new Promise<StatusObject>((resolve) => call.on("status", resolve)).finally(() => client.close());
}

function handshake(tokens: readonly string[]): InitiatorHandshake {
  const self = { namespace: "gearmesh", nodeId: "an-attacker", runId: randomBytes(8).toString("hex") };
  return new InitiatorHandshake({ self, tokens, topologyHash: "", randomBytes }, "");
}

/** The steps of a coordinator that goes by the token. */
function honest(tokens: readonly string[]) {
  const steps = handshake(tokens);
  const answer = (received: Envelope): Uint8Array | undefined => {
    const step = steps.receive(received);
    return step.send && encodeFrame([step.send]);
  };
  return { hello: encodeFrame([steps.hello]), answer };
}

test.serial("a link without a certificate, or with a stranger's, gets no challenge", async (t) => {
  await counted(t, ["mesh", "certificate"], 2, async () => {
    for (const tls of [{}, stranger]) {
      const { hello } = honest([FIRST_TOKEN]);
      t.is((await link(hello, tls, () => t.fail("it was answered"))).code, status.UNAUTHENTICATED);
    }
  });
});

test.serial("proofs that were replayed, sent back, made up or made with a client's token open no link", async (t) => {
  const recorded: Uint8Array[] = [];
  const { hello, answer } = honest([SCOPED.call]);
  await counted(t, ["mesh", "proof"], 6, async () => {
    const wrongToken = await link(hello, known, (received) => {
      const proof = answer(received);
      if (proof) recorded.push(proof);
      return proof;
    });
    t.is(wrongToken.code, status.UNAUTHENTICATED, "a token for calls is none for links");
    const [proof] = recorded;
    const replay = await link(hello, known, ({ kind }) => (kind === "challenge" ? proof : undefined));
    t.is(replay.code, status.UNAUTHENTICATED, "a recorded handshake");
    const reflected = await link(hello, known, (received) => encodeFrame([received]));
    t.is(reflected.code, status.UNAUTHENTICATED, "the challenge itself");
    const madeUp = encodeFrame([{ kind: "proof", macs: [randomBytes(32), randomBytes(32)] }]);
    t.is((await link(hello, known, () => madeUp)).code, status.UNAUTHENTICATED);
    const nothing = encodeFrame([{ kind: "proof", macs: [] }]);
    t.is((await link(hello, known, () => nothing)).code, status.UNAUTHENTICATED);
    const request = { kind: "request", id: 1, timeoutMs: 1000, depth: 0, method: 5, body: Buffer.from("x") } as const;
    t.is((await link(encodeFrame([request]), known)).code, status.UNAUTHENTICATED, "without a handshake");
  });
});

test.serial("a recorded handshake of a real coordinator opens no second link", async (t) => {
  const { hello, answer } = honest([FIRST_TOKEN]);
  let proof: Uint8Array | undefined;
  const opened = Promise.withResolvers<void>();
  const first = link(hello, known, (received) => {
    if (received.kind === "proof") opened.resolve();
    if (received.kind === "challenge") proof = answer(received);
    return received.kind === "challenge" ? proof : undefined;
  });
  await opened.promise;
  await counted(t, ["mesh", "proof"], 1, async () => {
    const { code } = await link(hello, known, ({ kind }) => (kind === "challenge" ? proof : undefined));
    t.is(code, status.UNAUTHENTICATED);
  });
  t.is((await first).code, status.UNAVAILABLE, "the real one gives no sign of life");
});

test.serial("what is no gRPC gets no further than HTTP, and is counted as a method that does not exist", async (t) => {
  const series =
    'grpc_server_handled_total{grpc_type="unary",grpc_service="_OTHER",grpc_method="_OTHER",grpc_code="UNIMPLEMENTED"}';
  const before = await metricOf(target, series, FIRST_TOKEN);
  const session = connectHttp2(`https://${target.address}`, { rejectUnauthorized: false });
  const stream = session.request({
    [constants.HTTP2_HEADER_METHOD]: "POST",
    [constants.HTTP2_HEADER_PATH]: "/gearmesh.v1.FunctionService/List",
    [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/json",
    authorization: `Bearer ${FIRST_TOKEN}`,
  });
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  stream.once("response", (headers) => resolve(headers[":status"]));
  stream.on("error", () => undefined);
  stream.end("{}");
  t.is(await promise, 415);
  t.is(await metricOf(target, series, FIRST_TOKEN), before + 1);
  session.destroy();
});

test.serial("after all that the coordinator serves as before, and its log shows no token", async (t) => {
  const [node] = secured.nodes;
  if (!node) return t.fail();
  await using client = secured.client(node);
  t.is(await client.call("plain.args"), 0n);
  const log = await readFile(target.logPath, "utf8");
  for (const token of [FIRST_TOKEN, ...Object.values(SCOPED)]) t.false(log.includes(token));
  t.regex(await faultText(connectWrong()), /^UNAUTHENTICATED/);
});

async function connectWrong(): Promise<unknown> {
  const tls = { caFile: secured.authority.caFile };
  await using client = connect({ address: target.address, token: "not-the-token-at-all", tls });
  return await client.topology();
}

test.serial(
  "who fails too often at a door is refused there unseen, but not on a connection that has shown a valid token",
  async (t) => {
    const allowed = 20;
    await using limited = await startSecuredCluster({
      shards: 1,
      env: { GEARMESH_MAX_AUTH_FAILURES: `${allowed}`, GEARMESH_METRICS_NEED_TOKEN: "true" },
    });
    const [node] = limited.nodes;
    if (!node) return t.fail();
    const { coordinator } = node;
    await using proven = limited.client(node);
    await proven.topology();
    /** Makes attempts until one is refused as one too many; each before was looked at. */
    const exhaust = async (attempt: () => Promise<unknown>, [wrong, refused]: readonly [unknown, unknown]) => {
      const answers: unknown[] = [];
      while (answers.at(-1) !== refused && answers.length < 2 * allowed) answers.push(await attempt());
      t.true(answers.length > allowed, `${answers.length} attempts`);
      t.deepEqual(new Set(answers.slice(0, -1)), new Set([wrong]));
      t.is(answers.at(-1), refused);
    };
    await using guesser = limited.client(node, { token: "a-guess-of-some-length" });
    await exhaust(async () => (await faultOf(guesser.topology())).code, ["UNAUTHENTICATED", "RESOURCE_EXHAUSTED"]);
    const trusted = { ...(await limited.authority.issue()), caFile: limited.authority.caFile };
    const wrongProof = async () => {
      const { hello, answer } = honest(["a-guess-of-some-length"]);
      return (await link(hello, trusted, answer, coordinator.address)).code;
    };
    await exhaust(wrongProof, [status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED]);
    const read = async (token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await fetch(`http://${coordinator.opsAddress}/metrics`, { headers })).status;
    };
    await exhaust(() => read("a-guess-of-some-length"), [401, 429]);
    await proven.topology();
    // A part of a minute gives some back to whoever has the right one.
    for (const door of ["client", "mesh", "ops"]) {
      const series = `gearmesh_auth_failures_total{door="${door}",reason="limit"}`;
      await eventually(async () => (await metricOf(coordinator, series, FIRST_TOKEN)) > 0, { what: series });
    }
  },
);
