import { answer, type BenchProcess } from "./child-process.ts";
import { type Call, measureLatencyUs, measureRate } from "./load.ts";

/** Rate: calls a second, with `IN_FLIGHT` under way at any time. Median latency: of one call at a time, in us. */
export type Metric = "rate" | "median-latency";

export const IN_FLIGHT = 64;

interface Order {
  readonly call: string;
  readonly metric: Metric;
  readonly durationMs: number;
}

/** Measures calls of this process, which the bench started, whenever that asks. */
export function measureOwnCalls(calls: Readonly<Record<string, Call>>): void {
  answer(async ({ call: name, metric, durationMs }: Order) => {
    const call = calls[name];
    if (!call) throw new Error(`unknown call ${name}`);
    return metric === "rate" ? measureRate(call, IN_FLIGHT, durationMs) : measureLatencyUs(call, durationMs);
  });
}

/** What `process` measures of its own calls: where a call is made inside a server, no other process can. */
export function orderLoad(process: BenchProcess<unknown>, order: Order): Promise<number> {
  return process.ask(order);
}
