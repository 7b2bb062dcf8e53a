import { type Address, formatAddress } from "../base/address.ts";

/** What the page /ready of an ops port says. */
export interface Readiness {
  readonly ready: boolean;
  /** The name that the coordinator goes by now. */
  readonly node: string;
  /** Why it is not ready. */
  readonly reason?: string;
}

/** Longest that a coordinator may take to say whether it is ready. Unit: ms. */
const TIMEOUT_MS = 2000;

/** Undefined where nothing that says so answers there. */
export async function readReadiness(ops: Address): Promise<Readiness | undefined> {
  try {
    const response = await fetch(`http://${formatAddress(ops)}/ready`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    return (await response.json()) as Readiness;
  } catch {
    return undefined;
  }
}
