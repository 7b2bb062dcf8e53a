import type { Address } from "../base/address.ts";
import type { NodeId, SlotRange } from "../topology/topology.ts";

/** One line of CLUSTER NODES. */
export interface ClusterNode {
  readonly id: NodeId;
  /** What the line says; the host is empty where the node does not know it yet, or lost it (`noaddr`). */
  readonly address: Address;
  /** For example `myself`, `master`, `slave`, `fail`, `fail?` (only suspected), `handshake`, `noaddr`. */
  readonly flags: ReadonlySet<string>;
  /** The master that a replica follows. */
  readonly masterId: NodeId | undefined;
  readonly epoch: number;
  readonly isLinkConnected: boolean;
  /** What the node owns. A slot on its way to or from it is owned by its old owner until the move is done. */
  readonly slots: readonly SlotRange[];
  /** Whether slots are on their way to the node; it says so of itself alone. */
  readonly isImporting: boolean;
}

/**
 * Reads CLUSTER NODES. A line is `id ip:port@bus[,hostname][,name=value]... flags master ping pong epoch link slots...`; in the
 * asked node's own line `[slot->-id]` and `[slot-<-id]` tell of slots that are moving, which changes no owner.
 */
export function parseClusterNodes(text: string): ClusterNode[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map(parseLine);
}

function parseLine(line: string): ClusterNode {
  const [id, address, flags, master, , , epoch, link, ...slots] = line.trim().split(" ");
  if (!id || !address || !flags || !master || epoch === undefined || !link) {
    throw new Error(`not a line of CLUSTER NODES: ${JSON.stringify(line)}`);
  }
  return {
    id,
    address: parseAddress(address),
    flags: new Set(flags.split(",")),
    masterId: master === "-" ? undefined : master,
    epoch: Number(epoch),
    isLinkConnected: link === "connected",
    slots: slots.filter((range) => !range.startsWith("[")).map(parseRange),
    isImporting: slots.some((range) => range.includes("-<-")),
  };
}

/** The host may be an IPv6 address without brackets, so the port begins after the last colon. */
function parseAddress(text: string): Address {
  const [endpoint = ""] = text.split(/[@,]/, 1);
  const colon = endpoint.lastIndexOf(":");
  return { host: endpoint.slice(0, colon), port: Number(endpoint.slice(colon + 1)) };
}

function parseRange(text: string): SlotRange {
  const [start, end = start] = text.split("-");
  return { start: Number(start), end: Number(end) };
}
