import { createHash } from "node:crypto";
import { Fault } from "../base/fault.ts";
import type { StoreClient, StoreReply } from "./store-client.ts";

/** A script with one key. It is sent by its hash, and in full only where Redis does not know it: after a restart, or on another master. */
export class RedisScript {
  readonly #text: string;
  readonly #hash: string;

  constructor(text: string) {
    this.#text = text;
    this.#hash = createHash("sha1").update(text).digest("hex");
  }

  /** Rejects as StoreClient does. */
  async run(client: StoreClient, key: string, args: readonly (string | Uint8Array)[]): Promise<StoreReply["reply"]> {
    try {
      return (await client.command(key, ["EVALSHA", this.#hash, "1", key, ...args])).reply;
    } catch (thrown) {
      // It did not run, then.
      if (!(thrown instanceof Fault) || !thrown.message.includes("refused: NOSCRIPT")) throw thrown;
      return (await client.command(key, ["EVAL", this.#text, "1", key, ...args])).reply;
    }
  }
}
