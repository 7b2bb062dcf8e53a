import { Gauge, type Registry } from "prom-client";
import { askedGauges } from "./asked-gauges.ts";

/** What is asked at each scrape. */
export interface NodeSources {
  readonly node: () => {
    /** What the coordinator goes by now. */
    readonly name: string;
    readonly isReady: boolean;
    readonly isSandboxUp: boolean;
    /** Slots that it answers for. */
    readonly slots: number;
    /** Masters with slots, as it knows them. */
    readonly shards: number;
    /** Of the topology; empty: none is known. */
    readonly topologyHash: string;
  };
}

/** Hex digits that a double holds whole. */
const FINGERPRINT_DIGITS = 12;

export function watchNodeSources(registers: Registry[], { node }: NodeSources): void {
  const gauge = askedGauges(registers);
  new Gauge({
    registers,
    name: "gearmesh_node_info",
    help: "Always 1; `node` is the name that the coordinator goes by now.",
    labelNames: ["node"],
    collect() {
      this.reset();
      this.set({ node: node().name }, 1);
    },
  });
  gauge(
    "gearmesh_ready",
    "1 while the coordinator serves calls, 0 while it does not: /ready and its log say why.",
    () => Number(node().isReady),
  );
  gauge("gearmesh_sandbox_up", "1 while the sandbox process runs, where libraries do.", () =>
    Number(node().isSandboxUp),
  );
  gauge(
    "gearmesh_slots",
    "Slots that this coordinator answers for. The sum over all coordinators is 16384 where every slot is served, and less where calls with keys of some fail.",
    () => node().slots,
  );
  gauge("gearmesh_shards", "Masters with slots, as this coordinator knows them.", () => node().shards);
  gauge(
    "gearmesh_topology_fingerprint",
    "The first 48 bits of the topology's hash. Differs between coordinators for long: they do not agree who owns which slot.",
    () => Number.parseInt(node().topologyHash.slice(0, FINGERPRINT_DIGITS) || "0", 16),
  );
}
