import { Counter, type Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import { methodName } from "../mesh/method.ts";
import { MethodTally } from "./method-tally.ts";
import { type Observe, TalliedHistogram } from "./tallied-histogram.ts";

/** Requests that come within a stream, which gRPC's own metrics count as one call. */
export interface StreamRecorder {
  /** `client`: on a stream of a client; `mesh`: on a link of another coordinator. */
  settled(door: StreamDoor, method: number, code: FaultCode | "OK", tookMs: number): void;
}

type StreamDoor = "client" | "mesh";

/** From 50 us, where what runs in this process is, to the default timeout. Unit: s. */
const BUCKETS = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function streamRecorder(registers: Registry[]): StreamRecorder {
  const seconds = new TalliedHistogram({
    registers,
    name: "gearmesh_stream_request_seconds",
    help: "Time from the arrival of each request within a stream to its answer, by door and method as gearmesh_stream_requests_total. What it waited for other coordinators is part of it.",
    labelNames: ["door", "method"],
    buckets: BUCKETS,
  });
  const doors = { client: door("client"), mesh: door("mesh") };
  new Counter({
    registers,
    name: "gearmesh_stream_requests_total",
    help: "Requests within streams that ended: of clients on their call streams and connections (door=client), and of other coordinators on their links (door=mesh); by method and by code: OK, or one of docs/ERRORS.md. grpc_server_ metrics count each such stream as one call.",
    labelNames: ["door", "method", "code"],
    collect() {
      for (const [name, { tally }] of Object.entries(doors)) {
        tally.drain((labels, count) => this.inc({ door: name, ...labels }, count));
      }
    },
  });
  return {
    settled(name, method, code, tookMs) {
      const { tally, secondsOf } = doors[name];
      const label = methodName(method);
      tally.count(label, code);
      secondsOf(label)(tookMs / 1000);
    },
  };

  function door(name: StreamDoor) {
    const series = new Map<string, Observe>();
    return {
      tally: new MethodTally(),
      secondsOf(method: string) {
        const known = series.get(method);
        if (known) return known;
        const observe = seconds.of({ door: name, method });
        series.set(method, observe);
        return observe;
      },
    };
  }
}
