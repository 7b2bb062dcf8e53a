import type { Address } from "../base/address.ts";
import { SLOT_COUNT, type Slot } from "./topology.ts";

/** What a MOVED or an ASK says. */
export interface Redirection {
  /** `ask`: the slot is on its way to the target, and the key is not here any more; `moved`: the slot is the target's. */
  readonly kind: "moved" | "ask";
  readonly slot: Slot;
  /** An empty host means the one of whoever said it. */
  readonly target: Address;
}

/**
 * Reads `MOVED 3999 127.0.0.1:6381` or `ASK ...`, Redis's own or a coordinator's; undefined where it is neither. Redis writes IPv6 addresses without
 * brackets, and no host where it knows none.
 */
export function parseRedirection(text: string): Redirection | undefined {
  const [, kind, slot = "", host = "", port = ""] = /^(MOVED|ASK) (\d{1,5}) (\S*):(\d{1,5})$/.exec(text) ?? [];
  if (kind === undefined || Number(slot) >= SLOT_COUNT || Number(port) > 65_535) return undefined;
  return {
    kind: kind === "ASK" ? "ask" : "moved",
    slot: Number(slot),
    target: { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) },
  };
}
