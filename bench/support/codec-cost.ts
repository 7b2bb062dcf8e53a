import { fileURLToPath } from "node:url";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { decodeFrame, encodeFrame } from "../../src/mesh/frame-codec.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { median } from "./statistics.ts";

const ROUNDS = 7;
const ENVELOPES_PER_ROUND = 50_000;

/** Time to encode and decode one envelope: by hand, and as objects through proto-loader. Unit: us. */
export function measureCodec(argument: Uint8Array): { readonly hand: number; readonly protoLoader: number } {
  const proto = fileURLToPath(new URL("../../proto", import.meta.url));
  const service = loadSync("gearmesh/v1/mesh.proto", { longs: Number, oneofs: true, includeDirs: [proto] })[
    "gearmesh.v1.MeshService"
  ] as ServiceDefinition;
  const link = service["Link"];
  if (link === undefined) throw new Error("mesh.proto has no method Link");
  const body = { function: "lib.echo", args: [argument] };
  const message = { envelopes: [{ request: { id: 1000, timeoutMs: 10_000, call: body } }] };
  const [envelope] = decodeFrame(link.requestSerialize(message));
  if (envelope?.kind !== "request" || envelope.method !== METHOD.CALL) throw new Error("the two codecs disagree");

  const hand: number[] = [];
  const protoLoader: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    hand.push(timeEach(() => decodeFrame(encodeFrame([envelope]))));
    protoLoader.push(timeEach(() => link.requestDeserialize(link.requestSerialize(message))));
  }
  return { hand: median(hand), protoLoader: median(protoLoader) };
}

function timeEach(run: () => unknown): number {
  const startMs = performance.now();
  for (let i = 0; i < ENVELOPES_PER_ROUND; i++) run();
  return ((performance.now() - startMs) * 1000) / ENVELOPES_PER_ROUND;
}
