import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";

/** What both ends know once Hello and Challenge have crossed, and what their proofs are over. */
export interface Transcript {
  readonly version: number;
  readonly namespace: string;
  readonly initiator: Party;
  readonly acceptor: Party;
}

export interface Party {
  readonly nodeId: string;
  readonly runId: string;
  readonly nonce: Uint8Array;
}

/** The prover's role is part of its proof, so that a proof sent back to its maker proves nothing. */
export type Role = "initiator" | "acceptor";

const MAC_BYTES = 32;

const LABEL = "gearmesh-link-v1";

/** Shows knowledge of `token` for this transcript only: both nonces are fresh, so a recorded proof fits no other link. */
export function proofOf(token: string, role: Role, transcript: Transcript): Buffer {
  const { version, namespace, initiator, acceptor } = transcript;
  const mac = createHmac("sha256", token);
  // Each item carries its length: otherwise two transcripts could run together into the same bytes.
  const item = (value: string | Uint8Array): void => {
    const bytes = typeof value === "string" ? Buffer.from(value, "utf8") : value;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    mac.update(length).update(bytes);
  };
  item(LABEL);
  item(role);
  item(String(version));
  item(namespace);
  for (const { nodeId, runId, nonce } of [initiator, acceptor]) {
    item(nodeId);
    item(runId);
    item(nonce);
  }
  return mac.digest();
}

/** The first of `tokens` that one of `macs` was made with. All are compared, each in constant time. */
export function tokenOfProof(
  macs: readonly Uint8Array[],
  tokens: readonly string[],
  role: Role,
  transcript: Transcript,
): string | undefined {
  let found: string | undefined;
  for (const token of tokens) {
    const expected = proofOf(token, role, transcript);
    for (const mac of macs) {
      if (mac.length === MAC_BYTES && timingSafeEqual(mac, expected)) found ??= token;
    }
  }
  return found;
}
