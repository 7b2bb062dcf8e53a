import { Fault } from "../base/fault.ts";

/** Throws what a reading failed with: one that was sent and not answered changed nothing. */
export function readFailed(thrown: unknown): never {
  const fault = Fault.from(thrown);
  throw fault.code === "INDETERMINATE" ? new Fault("UNAVAILABLE", fault.message, { cause: fault }) : fault;
}
