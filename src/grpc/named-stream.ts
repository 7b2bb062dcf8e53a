import type { Metadata } from "@grpc/grpc-js";
import { identityOf } from "./request-identity.ts";
import type { UnaryParts } from "./unary.ts";

/** Runs what it is given on behalf of the stream's call: log lines that come of it carry the call's names. */
export type OnBehalf = <Args extends readonly unknown[]>(work: (...args: Args) => void) => (...args: Args) => void;

/**
 * The handler of a stream that may go on for days, on behalf of its call. What is told to listeners of the call comes from its connection, and belongs to no call: what listens has to be taken
 * on behalf of this one by itself.
 */
export function namedStream<Call extends { readonly metadata: Metadata }>(
  { scope }: Pick<UnaryParts, "scope">,
  handle: (call: Call, onBehalf: OnBehalf) => void,
): (call: Call) => void {
  return (call) => {
    const identity = identityOf(call.metadata);
    const onBehalf: OnBehalf =
      (work) =>
      (...args) =>
        scope.run(identity, () => work(...args));
    onBehalf(handle)(call, onBehalf);
  };
}
