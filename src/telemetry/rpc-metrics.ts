import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { FaultCode } from "../base/fault.ts";
import type { ClosedBecause } from "../connections/held-connections.ts";

/** From 50 us, where a method of this node is, to the default timeout. Unit: s. */
const BUCKETS = [5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** How many RPC methods began here and how they ended. */
export interface MethodRecorder {
  started(): void;
  ended(code: FaultCode | "OK", seconds: number): void;
}

export interface ConnectionRecorder {
  opened(kind: "new" | "resumed"): void;
  closed(reason: ClosedBecause): void;
}

/** What is asked at each scrape. */
export interface RpcSources {
  /** Connections held here: with their client, and waiting for it. */
  readonly connections: () => Readonly<Record<"attached" | "away", number>>;
  /** Messages that are kept for the clients of the connections held here. */
  readonly deliveries: () => number;
  /** Methods that were asked for here and have not replied. */
  readonly rpcPending: () => number;
  /** Methods that connected clients have registered here. */
  readonly registeredMethods: () => number;
}

export function watchRpcSources(registers: Registry[], sources: RpcSources): void {
  new Gauge({
    registers,
    name: "gearmesh_connections",
    help: "Connections of clients that this coordinator holds: attached to their client, or away, waiting for it to resume them.",
    labelNames: ["state"],
    collect() {
      for (const [state, count] of Object.entries(sources.connections())) this.set({ state }, count);
    },
  });
  new Gauge({
    registers,
    name: "gearmesh_connection_deliveries",
    help: "Messages that are kept for the clients of this coordinator's connections until those have them. Growing: clients read slowly, or many are away.",
    collect() {
      this.set(sources.deliveries());
    },
  });
  new Gauge({
    registers,
    name: "gearmesh_rpc_pending",
    help: "Calls of RPC methods that were made here and wait for a node's reply. One that grows without end: a method never answers, and its callers give it much time.",
    collect() {
      this.set(sources.rpcPending());
    },
  });
  new Gauge({
    registers,
    name: "gearmesh_rpc_registered_methods",
    help: "RPC methods that connected clients have registered here, each as often as it is.",
    collect() {
      this.set(sources.registeredMethods());
    },
  });
}

/** Counts in plain numbers and tells them at each scrape, as the runs of functions are counted. */
export function methodRecorder(registers: Registry[]): MethodRecorder {
  let inFlight = 0;
  /** Since the last scrape. */
  const ended = new Map<FaultCode | "OK", number>();
  const seconds = new Histogram({
    registers,
    name: "gearmesh_rpc_seconds",
    help: "Time that each RPC method took on this node.",
    buckets: BUCKETS,
  });
  new Counter({
    registers,
    name: "gearmesh_rpc_total",
    help: "RPC methods that ran on this node and ended, by code: OK, or one of docs/ERRORS.md.",
    labelNames: ["code"],
    collect() {
      for (const [code, count] of ended) this.inc({ code }, count);
      ended.clear();
    },
  });
  new Gauge({
    registers,
    name: "gearmesh_rpc_in_flight",
    help: "RPC methods that run on this node.",
    collect() {
      this.set(inFlight);
    },
  });
  return {
    started: () => {
      inFlight++;
    },
    ended: (code, duration) => {
      inFlight--;
      ended.set(code, (ended.get(code) ?? 0) + 1);
      seconds.observe(duration);
    },
  };
}

export function connectionRecorder(registers: Registry[]): ConnectionRecorder {
  const opened = new Counter({
    registers,
    name: "gearmesh_connections_opened_total",
    help: "Connections that were opened here, and those that were resumed here after their client had lost its link.",
    labelNames: ["kind"],
  });
  const closed = new Counter({
    registers,
    name: "gearmesh_connections_closed_total",
    help: "Connections that are not held here any more, by reason: quit by their client, destroyed by somebody, expired since their client did not come back, or taken-over by another node.",
    labelNames: ["reason"],
  });
  for (const kind of ["new", "resumed"]) opened.inc({ kind }, 0);
  for (const reason of ["quit", "destroyed", "expired", "taken-over"]) closed.inc({ reason }, 0);
  return { opened: (kind) => opened.inc({ kind }), closed: (reason) => closed.inc({ reason }) };
}
