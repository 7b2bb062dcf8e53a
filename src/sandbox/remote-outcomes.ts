import { Fault } from "../base/fault.ts";
import type { RemoteCall, RemoteCalls, ShardsReply } from "../functions/sandbox-port.ts";

/** A call by key has no snapshot. */
type RemoteOutcomes = ShardsReply | { readonly snapshot: undefined; readonly outcomes: ShardsReply["outcomes"] };

/** Makes a remote call of a run; its failure is an outcome, too: the library gets the text. Never rejects. */
export async function remoteOutcomes(
  remoteCalls: RemoteCalls,
  call: RemoteCall,
  key: Uint8Array | undefined,
): Promise<RemoteOutcomes> {
  try {
    if (!key) return await remoteCalls.runOnShards(call);
    return { snapshot: undefined, outcomes: [{ ok: true, payload: await remoteCalls.runOnKey(call, key) }] };
  } catch (thrown) {
    return { snapshot: undefined, outcomes: [{ ok: false, error: Fault.from(thrown).message }] };
  }
}
