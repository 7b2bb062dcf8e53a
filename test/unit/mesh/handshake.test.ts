import { randomBytes } from "node:crypto";
import test from "ava";
import fc from "fast-check";
import { Fault } from "../../../src/base/fault.ts";
import type { Envelope, HelloEnvelope } from "../../../src/mesh/envelope.ts";
import {
  AcceptorHandshake,
  type HandshakeParts,
  type HandshakeStep,
  InitiatorHandshake,
} from "../../../src/mesh/handshake.ts";
import { proofOf } from "../../../src/mesh/proof.ts";
import { PROTOCOL_VERSION } from "../../../src/mesh/protocol-version.ts";

const TOKEN = "a-server-token-of-some-length";
const OTHER = "another-token-of-some-length";

function parts(nodeId: string, overrides: Partial<HandshakeParts> = {}): HandshakeParts {
  return {
    self: { namespace: "gearmesh", nodeId, runId: `run-of-${nodeId}` },
    tokens: [TOKEN],
    topologyHash: `map-of-${nodeId}`,
    randomBytes,
    ...overrides,
  };
}

function sent(step: HandshakeStep): Envelope {
  if (step.send === undefined) throw new Error("nothing was sent");
  return step.send;
}

function refuses(t: import("ava").ExecutionContext, act: () => unknown, text: RegExp): void {
  const fault = t.throws(act, { instanceOf: Fault });
  t.is(fault?.code, "UNAUTHENTICATED");
  t.regex(fault?.message ?? "", text);
  for (const secret of [TOKEN, OTHER]) t.false(fault?.message.includes(secret));
}

/** Runs all steps; `meddle` may change each envelope on its way. */
function shake(
  initiator: InitiatorHandshake,
  acceptor: AcceptorHandshake,
  meddle: (envelope: Envelope) => Envelope = (envelope) => envelope,
): readonly [initiator: HandshakeStep, acceptor: HandshakeStep] {
  const challenge = acceptor.receive(meddle(initiator.hello));
  const proof = initiator.receive(meddle(sent(challenge)));
  const accepted = acceptor.receive(meddle(sent(proof)));
  return [initiator.receive(meddle(sent(accepted))), accepted];
}

test("both ends learn who the other is", (t) => {
  const [initiator, acceptor] = shake(new InitiatorHandshake(parts("a"), "b"), new AcceptorHandshake(parts("b")));
  t.deepEqual(initiator, {
    done: true,
    remote: { nodeId: "b", runId: "run-of-b", version: PROTOCOL_VERSION, topologyHash: "map-of-b", provenBy: TOKEN },
  });
  t.like(acceptor, {
    done: true,
    remote: { nodeId: "a", runId: "run-of-a", version: PROTOCOL_VERSION, topologyHash: "map-of-a" },
  });
});

test("a token can be replaced: any two ends with one in common link, others do not", (t) => {
  const sets = [[TOKEN], [OTHER], [OTHER, TOKEN], [TOKEN, OTHER], []];
  for (const ours of sets) {
    for (const theirs of sets) {
      const run = () => {
        return shake(
          new InitiatorHandshake(parts("a", { tokens: ours }), ""),
          new AcceptorHandshake(parts("b", { tokens: theirs })),
        );
      };
      if (ours.some((token) => theirs.includes(token))) {
        const proven = run().map((step) => (step.done ? step.remote.provenBy : undefined));
        const newest = theirs.find((token) => ours.includes(token));
        t.deepEqual(proven, [newest, newest], "both go by the acceptor's newest");
      } else refuses(t, run, /serverToken/);
    }
  }
});

test("an end that does not know the token proves nothing, whichever end it is", (t) => {
  const wrong = { tokens: [OTHER] };
  refuses(
    t,
    () => shake(new InitiatorHandshake(parts("a", wrong), "b"), new AcceptorHandshake(parts("b"))),
    /initiator did not prove/,
  );
  // A false acceptor lets any proof pass and makes one up.
  const initiator = new InitiatorHandshake(parts("a"), "b");
  const challenge = new AcceptorHandshake(parts("b", wrong)).receive(initiator.hello);
  initiator.receive(sent(challenge));
  refuses(t, () => initiator.receive({ kind: "proof", macs: [randomBytes(32)] }), /acceptor did not prove/);
});

test("a proof that is sent back to its maker proves nothing", (t) => {
  const initiator = new InitiatorHandshake(parts("a"), "b");
  const challenge = new AcceptorHandshake(parts("b", { tokens: [OTHER] })).receive(initiator.hello);
  const proof = sent(initiator.receive(sent(challenge)));
  refuses(t, () => initiator.receive(proof), /acceptor did not prove/);
});

test("a recorded handshake opens no second link, to either end", (t) => {
  const recorded: Envelope[] = [];
  shake(new InitiatorHandshake(parts("a"), "b"), new AcceptorHandshake(parts("b")), (envelope) => {
    recorded.push(envelope);
    return envelope;
  });
  const [hello, challenge, proof, answer] = recorded as [Envelope, Envelope, Envelope, Envelope];
  const acceptor = new AcceptorHandshake(parts("b"));
  acceptor.receive(hello);
  refuses(t, () => acceptor.receive(proof), /initiator did not prove/);
  const initiator = new InitiatorHandshake(parts("a"), "b");
  initiator.receive(challenge);
  refuses(t, () => initiator.receive(answer), /acceptor did not prove/);
});

test("whatever is changed on the way, no link comes of it", (t) => {
  const changes: readonly ((envelope: Envelope) => Envelope)[] = [
    (e) => (e.kind === "hello" ? { ...e, nodeId: "evil" } : e),
    (e) => (e.kind === "hello" ? { ...e, runId: "evil" } : e),
    (e) => (e.kind === "hello" ? { ...e, namespace: "evil" } : e),
    (e) => (e.kind === "hello" ? { ...e, nonce: randomBytes(32) } : e),
    (e) => (e.kind === "hello" ? { ...e, nonce: randomBytes(31) } : e),
    (e) => (e.kind === "hello" ? { ...e, version: 0 } : e),
    (e) => (e.kind === "challenge" ? { ...e, version: e.version + 1 } : e),
    (e) => (e.kind === "challenge" ? { ...e, version: e.version - 1 } : e),
    (e) => (e.kind === "challenge" ? { ...e, version: 0 } : e),
    (e) => (e.kind === "challenge" ? { ...e, nodeId: "evil" } : e),
    (e) => (e.kind === "challenge" ? { ...e, runId: "evil" } : e),
    (e) => (e.kind === "challenge" ? { ...e, nonce: randomBytes(32) } : e),
    (e) => (e.kind === "proof" ? { ...e, macs: [] } : e),
    (e) => (e.kind === "proof" ? { ...e, macs: e.macs.map((mac) => mac.subarray(1)) } : e),
    (e) => (e.kind === "proof" ? { ...e, macs: [...e.macs, ...e.macs, ...e.macs] } : e),
  ];
  for (const [i, change] of changes.entries()) {
    const run = () => shake(new InitiatorHandshake(parts("a"), ""), new AcceptorHandshake(parts("b")), change);
    t.is(t.throws(run, { instanceOf: Fault }, `change ${i}`)?.code, "UNAUTHENTICATED");
  }
});

test("envelopes out of turn end the handshake, and it stays ended", (t) => {
  const request: Envelope = { kind: "request", id: 1, timeoutMs: 0, depth: 0, method: 5, body: Buffer.alloc(0) };
  const { hello } = new InitiatorHandshake(parts("a"), "b");
  for (const envelope of [
    request,
    { kind: "proof", macs: [] } as const,
    { kind: "ping", nonce: 1, topologyHash: "", epoch: 0, nodeName: "" } as const,
  ]) {
    const acceptor = new AcceptorHandshake(parts("b"));
    refuses(t, () => acceptor.receive(envelope), /unexpected/);
    refuses(t, () => acceptor.receive(hello), /unexpected hello/);
  }
  refuses(t, () => new InitiatorHandshake(parts("a"), "b").receive(hello), /unexpected hello/);
  const acceptor = new AcceptorHandshake(parts("b"));
  acceptor.receive(hello);
  refuses(t, () => acceptor.receive(hello), /unexpected hello/);
});

test("refusals name what to mend: namespace, address, version, and a link to oneself", (t) => {
  const link = (a: HandshakeParts, b: HandshakeParts, expected: string) => () =>
    shake(new InitiatorHandshake(a, expected), new AcceptorHandshake(b));
  const foreign = parts("b", { self: { namespace: "other", nodeId: "b", runId: "r" } });
  refuses(t, link(parts("a"), foreign, "b"), /setting namespace/);
  refuses(t, link(parts("a"), parts("b"), "c"), /beside Redis node b, not c/);
  refuses(t, link(parts("a"), parts("a"), ""), /does not link to itself/);
  const acceptor = new AcceptorHandshake(parts("b"));
  const hello: HelloEnvelope = { ...new InitiatorHandshake(parts("a"), "b").hello, version: 9, oldestVersion: 7 };
  refuses(t, () => acceptor.receive(hello), /protocol 7 to 9, this one 1 to 2: update the older/);
  // The initiator checks by itself, too: the acceptor's refusal could be missing.
  const initiator = new InitiatorHandshake(parts("a"), "b");
  const challenge = new AcceptorHandshake(parts("c")).receive({ ...initiator.hello, expectedNodeId: "" });
  refuses(t, () => initiator.receive(sent(challenge)), /beside Redis node c, not b/);
});

test("a coordinator that does not know yet beside which node it stands links to nobody", (t) => {
  const unready = parts("", { self: { namespace: "gearmesh", nodeId: "", runId: "r" } });
  const { hello } = new InitiatorHandshake(parts("a"), "b");
  const fault = t.throws(() => new AcceptorHandshake(unready).receive(hello), { instanceOf: Fault });
  t.is(fault?.code, "UNAVAILABLE");
  refuses(t, () => shake(new InitiatorHandshake(unready, ""), new AcceptorHandshake(parts("b"))), /malformed/);
});

test("each end speaks the version of the older one, one version apart and no further", (t) => {
  const offer = (oldestVersion: number, version: number): Envelope => ({
    ...new InitiatorHandshake(parts("a"), "b").hello,
    version,
    oldestVersion,
  });
  for (const [oldest, newest, chosen] of [
    [1, 1, 1],
    [1, 2, 2],
    [2, 3, 2],
    [1, 9, 2],
  ] as const) {
    t.like(sent(new AcceptorHandshake(parts("b")).receive(offer(oldest, newest))), { version: chosen });
  }
  for (const [oldest, newest] of [
    [0, 0],
    [3, 3],
    [3, 4],
    [2, 1],
  ] as const) {
    refuses(
      t,
      () => new AcceptorHandshake(parts("b")).receive(offer(oldest, newest)),
      /speaks mesh protocol .* update/,
    );
  }
  // An acceptor that does not check what it was offered.
  for (const version of [0, 3]) {
    const initiator = new InitiatorHandshake(parts("a"), "b");
    const challenge = sent(new AcceptorHandshake(parts("b")).receive(initiator.hello));
    refuses(t, () => initiator.receive({ ...challenge, version } as Envelope), new RegExp(`protocol ${version}, this`));
  }
});

test("no two transcripts share a proof, not even where their texts run together", (t) => {
  const party = fc.record({
    nodeId: fc.constantFrom("a", "ab", "abc", ""),
    runId: fc.constantFrom("a", "bc", "c", ""),
    nonce: fc.constantFrom("a", "b", "").map((each) => Buffer.from(each)),
  });
  const transcript = fc.record({
    version: fc.nat({ max: 12 }),
    namespace: fc.constantFrom("a", "ab", "1"),
    initiator: party,
    acceptor: party,
  });
  const role = fc.constantFrom("initiator" as const, "acceptor" as const);
  fc.assert(
    fc.property(transcript, transcript, role, role, (one, two, first, second) => {
      const same = first === second && JSON.stringify(one) === JSON.stringify(two);
      t.is(proofOf(TOKEN, first, one).equals(proofOf(TOKEN, second, two)), same);
    }),
  );
});
