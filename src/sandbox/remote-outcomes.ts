import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { encodePayload } from "../base/payload.ts";
import type { ClusterCalls, RemoteCall, RemoteCalls, ShardsReply } from "../functions/sandbox-port.ts";

/** A call by key has no snapshot, and neither has what was published. */
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
    return failed(thrown);
  }
}

/** Publishes for a run; the outcome is the number of subscribers reached. Never rejects. */
export async function publishOutcome(
  calls: ClusterCalls,
  { messageType, payload }: { readonly messageType: string; readonly payload: Uint8Array },
  context: CallContext,
): Promise<RemoteOutcomes> {
  try {
    const subscribers = await calls.publish(messageType, payload, context);
    return { snapshot: undefined, outcomes: [{ ok: true, payload: encodePayload(String(subscribers)) }] };
  } catch (thrown) {
    return failed(thrown);
  }
}

function failed(thrown: unknown): RemoteOutcomes {
  return { snapshot: undefined, outcomes: [{ ok: false, error: Fault.from(thrown).message }] };
}
