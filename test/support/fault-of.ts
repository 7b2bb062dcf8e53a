import { Fault } from "../../src/base/fault.ts";

/** The Fault that a call is expected to fail with. */
export async function faultOf(call: Promise<unknown>): Promise<Fault> {
  const outcome: unknown = await call.then(
    (value) => new Error(`it did not fail, but gave ${String(value)}`),
    (thrown: unknown) => thrown,
  );
  if (outcome instanceof Fault) return outcome;
  throw outcome;
}

/** That fault as `CODE: message`. */
export async function faultText(call: Promise<unknown>): Promise<string> {
  const { code, message } = await faultOf(call);
  return `${code}: ${message}`;
}
