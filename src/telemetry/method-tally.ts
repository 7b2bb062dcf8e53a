import type { FaultCode } from "../base/fault.ts";

/**
 * Requests by method and code since the last scrape, in plain numbers: to find a metric's child by its labels, for every request, costs more than to count. Methods must be
 * of a closed list.
 */
export class MethodTally {
  readonly #counts = new Map<string, Map<FaultCode | "OK", number>>();

  count(method: string, code: FaultCode | "OK"): void {
    let codes = this.#counts.get(method);
    if (!codes) {
      codes = new Map();
      this.#counts.set(method, codes);
    }
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  /** Tells what was counted, and begins anew. */
  drain(tell: (labels: { readonly method: string; readonly code: FaultCode | "OK" }, count: number) => void): void {
    for (const [method, codes] of this.#counts) {
      for (const [code, count] of codes) tell({ method, code }, count);
      codes.clear();
    }
  }
}
