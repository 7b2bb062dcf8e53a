/** A client process that gets the task to fill a key, says so, and never does it. */
import { once } from "node:events";
import { connect } from "../../src/client/client.ts";

const [address = "", token = "", key = "", lockMs = ""] = process.argv.slice(2);
const client = connect({ address, token });
const { lock } = await client.cache.getOrLock(key, { lockMs: Number(lockMs) });
process.send?.({ fencingToken: lock?.fencingToken });
await once(process, "disconnect");
