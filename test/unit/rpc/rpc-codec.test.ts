import test from "ava";
import { WireError } from "../../../src/base/wire.ts";
import { rpcCallRequest, runMethodRequest } from "../../../src/rpc/rpc-codec.ts";

function payloads(count: number): readonly Uint8Array[] {
  return Array.from({ length: count }, () => new Uint8Array());
}

test("a call of a method has 4096 arguments at most, from a client and over a link", (t) => {
  const call = (count: number) =>
    rpcCallRequest.encode({ method: "m", args: payloads(count), target: undefined, wait: 0, timeoutMs: 0 });
  const run = (count: number) =>
    runMethodRequest.encode({ method: "m", args: payloads(count), caller: "", connectionId: "", slotPlusOne: 0 });
  t.is(rpcCallRequest.decode(call(4096)).args.length, 4096);
  t.is(runMethodRequest.decode(run(4096)).args.length, 4096);
  t.throws(() => rpcCallRequest.decode(call(4097)), { instanceOf: WireError });
  t.throws(() => runMethodRequest.decode(run(4097)), { instanceOf: WireError });
});
