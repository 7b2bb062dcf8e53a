import { monotonicMs } from "../base/deadline.ts";
import { Fault, type FaultCode } from "../base/fault.ts";

/** The same, and `ended` is told how it ended and how long it took. */
export function observed<Args extends readonly unknown[], Result>(
  run: (...args: Args) => Promise<Result>,
  ended: (code: FaultCode | "OK", seconds: number) => void,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const startedMs = monotonicMs();
    let code: FaultCode | "OK" = "OK";
    try {
      return await run(...args);
    } catch (thrown) {
      code = Fault.from(thrown).code;
      throw thrown;
    } finally {
      ended(code, (monotonicMs() - startedMs) / 1000);
    }
  };
}
