import { Fault } from "../base/fault.ts";
import type { RemoteCall, RemoteCalls, ShardOutcome } from "../functions/sandbox-port.ts";

/** Makes a remote call of a run; its failure is an outcome, too: the library gets the text. Never rejects. */
export async function remoteOutcomes(
  remoteCalls: RemoteCalls,
  call: RemoteCall,
  key: Uint8Array | undefined,
): Promise<readonly ShardOutcome[]> {
  try {
    if (!key) return await remoteCalls.runOnShards(call);
    return [{ ok: true, payload: await remoteCalls.runOnKey(call, key) }];
  } catch (thrown) {
    return [{ ok: false, error: Fault.from(thrown).message }];
  }
}
