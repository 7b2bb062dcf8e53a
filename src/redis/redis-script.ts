import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { Fault } from "../base/fault.ts";
import type { Slot } from "../topology/topology.ts";
import { slotOf } from "./key-slot.ts";
import type { StoreClient, StoreReply } from "./store-client.ts";

/** Keys of one slot, which is known. */
export interface SlotKeys {
  readonly slot: Slot;
  readonly keys: readonly string[];
}

/** A script. It is sent by its hash, and in full only where Redis does not know it: after a restart, or on another master. */
export class RedisScript {
  readonly #text: string;
  readonly #hash: string;

  constructor(text: string) {
    this.#text = text;
    this.#hash = createHash("sha1").update(text).digest("hex");
  }

  /** Rejects as StoreClient does. */
  run(
    client: StoreClient,
    keys: string | SlotKeys,
    args: readonly (string | Uint8Array)[],
  ): Promise<StoreReply["reply"]> {
    return this.#send(client, keys, args, replyOf);
  }

  /** As `run`, and says over which connection. */
  send(client: StoreClient, keys: string | SlotKeys, args: readonly (string | Uint8Array)[]): Promise<StoreReply> {
    return this.#send(client, keys, args, asIs);
  }

  /** Of every request to the cache and the rooms: each step that waits costs as much as encoding the command does. */
  #send<T>(
    client: StoreClient,
    given: string | SlotKeys,
    args: readonly (string | Uint8Array)[],
    wanted: (reply: StoreReply) => T,
  ): Promise<T> {
    const { slot, keys } = typeof given === "string" ? { slot: slotOf(Buffer.from(given)), keys: [given] } : given;
    const count = String(keys.length);
    return client.commandInSlot(slot, ["EVALSHA", this.#hash, count, ...keys, ...args]).then(wanted, async (thrown) => {
      // It did not run, then.
      if (!(thrown instanceof Fault) || !thrown.message.includes("refused: NOSCRIPT")) throw thrown;
      return wanted(await client.commandInSlot(slot, ["EVAL", this.#text, count, ...keys, ...args]));
    });
  }
}

function asIs(reply: StoreReply): StoreReply {
  return reply;
}

function replyOf({ reply }: StoreReply): StoreReply["reply"] {
  return reply;
}
