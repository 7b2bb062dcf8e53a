import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { encodeApply } from "../../../src/client/apply.ts";
import { encodeRpcCall } from "../../../src/client/rpc.ts";
import { armableTimeoutMs } from "../../../src/client/timeout.ts";
import { applyRequest } from "../../../src/connections/session-codec.ts";
import { rpcCallRequest } from "../../../src/rpc/rpc-codec.ts";

const DAY_MS = 24 * 60 * 60 * 1000;

/** Everything that takes a time from a caller, and what it makes of it. */
const takers: Readonly<Record<string, (timeoutMs: number) => number>> = {
  "a deadline": (timeoutMs) => Math.ceil(armableTimeoutMs(timeoutMs)),
  rpc: (timeoutMs) => rpcCallRequest.decode(encodeRpcCall("method", { timeoutMs })).timeoutMs,
  apply: (timeoutMs) => applyRequest.decode(encodeApply("id", "", [], { timeoutMs })).timeoutMs,
};

for (const [name, take] of Object.entries(takers)) {
  test(`${name}: times are whole milliseconds, and no longer than a day`, (t) => {
    const given = [0, 0.2, 1500, DAY_MS + 1, Number.MAX_VALUE, Number.POSITIVE_INFINITY];
    t.deepEqual(given.map(take), [0, 1, 1500, DAY_MS, DAY_MS, DAY_MS]);
  });

  test(`${name}: what is no time is refused`, (t) => {
    for (const timeoutMs of [-1, -0.5, Number.NaN, Number.NEGATIVE_INFINITY]) {
      const fault = t.throws(() => take(timeoutMs), { instanceOf: Fault }, String(timeoutMs));
      t.is(fault?.code, "INVALID_ARGUMENT");
    }
  });
}
