import test from "ava";
import { ClientSession } from "../../../src/app/client-session.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import { RequestScope } from "../../../src/base/request-scope.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import type { Connection } from "../../../src/connections/connection.ts";
import {
  methodName,
  openConnectionRequest,
  openConnectionResponse,
  verbRequest,
} from "../../../src/connections/session-codec.ts";
import type { Envelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame, encodeFrame } from "../../../src/mesh/frame-codec.ts";
import { DEFAULT_STREAM_LIMITS } from "../../../src/mesh/limits.ts";
import { METHOD, type Method } from "../../../src/mesh/method.ts";
import { ConnectionNetwork, type ConnectionNode, settled } from "../../support/connection-network.ts";
import { PairedStream } from "../../support/stream-pair.ts";

const TIMEOUT_MS = 10_000;

/** A client's stream to a node: what it says, and what it is answered, as `<id> <code>`. */
function streamTo(node: ConnectionNode) {
  const [client, server] = PairedStream.create();
  const answers: string[] = [];
  const bodies = new Map<number, Uint8Array>();
  client.listen({
    frame(bytes) {
      for (const envelope of decodeFrame(bytes)) {
        if (envelope.kind === "fault") answers.push(`${envelope.id} ${envelope.code}`);
        if (envelope.kind !== "response") continue;
        answers.push(`${envelope.id} OK`);
        bodies.set(envelope.id, envelope.result);
      }
    },
    drain: () => undefined,
    closed: () => undefined,
  });
  const registered: string[] = [];
  const session = new ClientSession(
    {
      held: node.held,
      opening: node.opening,
      verbs: node.verbs,
      methods: {
        register: (method: string, _connection: Connection) => registered.push(method),
        unregister: () => undefined,
      },
      methodsChanged: async () => undefined,
      handlersFor: () => new Map(),
      wheel: new TimerWheel(),
      limits: DEFAULT_STREAM_LIMITS,
      defaultTimeoutMs: TIMEOUT_MS,
      maxTimeoutMs: TIMEOUT_MS,
      topologyHash: () => "",
      handlerFailed: () => undefined,
      settled: () => undefined,
      scope: new RequestScope(),
      openTimeoutMs: TIMEOUT_MS,
    },
    server,
    { identity: { requestId: "a-stream" }, isAdmin: false },
    () => undefined,
  );
  session.start();
  const request = (id: number, method: Method, body: Uint8Array): Envelope => ({
    kind: "request",
    id,
    timeoutMs: 0,
    depth: 0,
    method,
    body,
  });
  /** In one frame. */
  const say = async (...requests: Envelope[]): Promise<void> => {
    client.send(encodeFrame(requests));
    await settled();
  };
  const open = (id: number, resumeToken = ""): Envelope => {
    const rest = { type: "", fingerprint: "", params: new Map(), methods: [], receivedSequence: 0 };
    return request(id, METHOD.OPEN_CONNECTION, openConnectionRequest.encode({ ...rest, resumeToken }));
  };
  const verb = (id: number, name: string, ...args: unknown[]): Envelope =>
    request(id, METHOD.VERB, verbRequest.encode({ verb: name, args: args.map(payloadOf) }));
  const register = (id: number, method: string): Envelope =>
    request(id, METHOD.REGISTER_METHOD, methodName.encode({ method }));
  const tokenOf = (id: number) => openConnectionResponse.decode(bodies.get(id) ?? new Uint8Array()).resumeToken;
  return { client, answers, registered, say, open, verb, register, tokenOf };
}

test("what a client says behind its quit is not done: a connection that has ended serves nothing", async (t) => {
  const { a, directory } = new ConnectionNetwork();
  const { answers, registered, say, open, verb, register, tokenOf } = streamTo(a);
  await say(open(1));
  const [id = ""] = tokenOf(1).split(".");
  await say(verb(2, "quit"), register(3, "pay"), verb(4, "paramAdd", "k", 1));
  t.deepEqual(answers.toSorted(), ["1 OK", "2 OK", "3 UNKNOWN_CONNECTION", "4 UNKNOWN_CONNECTION"]);
  t.deepEqual(registered, []);
  t.is(a.held.size, 0);
  t.is(directory.record(id), undefined);
});

test("a stream serves nothing before it has its connection, and opens one alone", async (t) => {
  const { a } = new ConnectionNetwork();
  const { answers, say, open, verb, register } = streamTo(a);
  await say(verb(1, "detailsView"), register(2, "pay"));
  await say(open(3));
  await say(open(4));
  await say(register(5, "pay"));
  t.deepEqual(answers, ["1 INVALID_ARGUMENT", "2 INVALID_ARGUMENT", "3 OK", "4 INVALID_ARGUMENT", "5 OK"]);
});

test("a stream that is lost while it opens leaves its connection to wait for its client, and one that could not open may try again", async (t) => {
  const { a } = new ConnectionNetwork();
  const first = streamTo(a);
  a.directory.refused.set("put", "UNAVAILABLE");
  await first.say(first.open(1));
  a.directory.refused.clear();
  await first.say(first.open(2));
  t.deepEqual(first.answers, ["1 UNAVAILABLE", "2 OK"]);
  const second = streamTo(a);
  const claim = a.directory.stop("claim", "answer");
  await second.say(second.open(1, first.tokenOf(2)));
  await claim.reached;
  second.client.close(new Error("lost"));
  await settled();
  claim.release();
  await settled();
  t.deepEqual([a.held.attached, a.held.away], [0, 1]);
});
