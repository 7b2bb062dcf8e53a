import { Buffer } from "node:buffer";
import test from "ava";
import type { Envelope } from "../../../src/mesh/envelope.ts";
import { decodeFrame } from "../../../src/mesh/frame-codec.ts";
import { AcceptorHandshake, InitiatorHandshake } from "../../../src/mesh/handshake.ts";

const TOKEN = "a-server-token-of-some-length";

/** What a coordinator that speaks version 1 alone sent, as the initiator `a` with a nonce of ones and as the acceptor `b` with one of twos. */
const RECORDED = {
  hello:
    "0a4c3a4a080110011a08676561726d6573682201612a0872756e2d6f662d613201623a20010101010101010101010101010101010101010101010101010101010101010142086d61702d6f662d61",
  challenge:
    "0a3d423b08011201621a0872756e2d6f662d62222002020202020202020202020202020202020202020202020202020202020202022a086d61702d6f662d62",
  initiatorsProof: "0a244a220a20f6d456ae96518a99426059680bde380be929333dce321b8a2c7cee3519722768",
  acceptorsProof: "0a244a220a20f0f83947d4597df95bc123168f83278cc41f58f164055086a4edebd3d8a0c052",
} as const;

function recorded(name: keyof typeof RECORDED): Envelope {
  const [envelope] = decodeFrame(Buffer.from(RECORDED[name], "hex"));
  if (!envelope) throw new Error("it holds one envelope");
  return envelope;
}

function parts(nodeId: string, nonce: number) {
  return {
    self: { namespace: "gearmesh", nodeId, runId: `run-of-${nodeId}` },
    tokens: [TOKEN],
    topologyHash: `map-of-${nodeId}`,
    randomBytes: (size: number) => Buffer.alloc(size, nonce),
  };
}

test("an initiator of version 1 links to us: its proof holds, and ours is the one that it knows", (t) => {
  const acceptor = new AcceptorHandshake(parts("b", 2));
  t.deepEqual(acceptor.receive(recorded("hello")), { done: false, send: recorded("challenge") });
  t.deepEqual(acceptor.receive(recorded("initiatorsProof")), {
    done: true,
    send: recorded("acceptorsProof"),
    remote: { nodeId: "a", runId: "run-of-a", version: 1, topologyHash: "map-of-a", provenBy: TOKEN },
  });
});

test("we link to an acceptor of version 1: our proof is the one that it knows, and its own holds", (t) => {
  const initiator = new InitiatorHandshake(parts("a", 1), "b");
  t.deepEqual(initiator.receive(recorded("challenge")), { done: false, send: recorded("initiatorsProof") });
  t.deepEqual(initiator.receive(recorded("acceptorsProof")), {
    done: true,
    remote: { nodeId: "b", runId: "run-of-b", version: 1, topologyHash: "map-of-b", provenBy: TOKEN },
  });
});
