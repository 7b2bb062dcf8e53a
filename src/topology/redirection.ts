import type { Address } from "../base/address.ts";
import { SLOT_COUNT, type Slot } from "./topology.ts";

/** What a MOVED says. */
export interface Redirection {
  readonly slot: Slot;
  /** An empty host means the one of whoever said it. */
  readonly owner: Address;
}

/**
 * Reads `MOVED 3999 127.0.0.1:6381`, Redis's own or a coordinator's; undefined where it is none. Redis writes IPv6 addresses without brackets, and
 * no host where it knows none.
 */
export function parseMoved(text: string): Redirection | undefined {
  const [, slot = "", host = "", port = ""] = /^MOVED (\d{1,5}) (\S*):(\d{1,5})$/.exec(text) ?? [];
  if (port === "" || Number(slot) >= SLOT_COUNT || Number(port) > 65_535) return undefined;
  return { slot: Number(slot), owner: { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) } };
}
