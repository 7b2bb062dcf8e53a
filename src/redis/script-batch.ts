import { Buffer } from "node:buffer";
import { Fault } from "../base/fault.ts";
import { RedisErrorReply, type RedisReply } from "../functions/shard-redis.ts";
import { slotOf } from "./key-slot.ts";
import type { RedisScript } from "./redis-script.ts";
import type { StoreClient } from "./store-client.ts";
import type { BatchScript } from "./task-scripts.ts";

/** Runs of one request: whatever else wants something of that Redis waits meanwhile, a few ms at most. */
const MAX_RUNS = 64;

export type ScriptArguments = readonly (string | Uint8Array)[];

interface Run {
  readonly args: ScriptArguments;
  readonly reply: PromiseWithResolvers<RedisReply>;
}

/** Runs of one script over the same keys, but for the one that is each run's own: those of one turn in one request. */
export class ScriptBatch {
  readonly #client: StoreClient;
  readonly #script: RedisScript;
  readonly #ownKey: number;
  readonly #keys: { readonly slot: number; readonly keys: readonly string[] };
  #runs: Run[] = [];

  constructor(client: StoreClient, script: RedisScript, { ownKey }: BatchScript, keys: readonly string[]) {
    this.#client = client;
    this.#script = script;
    this.#ownKey = ownKey;
    this.#keys = { slot: slotOf(Buffer.from(keys[0] ?? "")), keys };
  }

  /** Rejects as StoreClient does. */
  run(keys: readonly string[], args: ScriptArguments): Promise<RedisReply> {
    const own = this.#ownKey === 0 ? [] : [keys[this.#ownKey - 1] ?? ""];
    const reply = Promise.withResolvers<RedisReply>();
    const count = this.#runs.push({ args: [...own, ...args], reply });
    if (count === 1) process.nextTick(() => this.#leave());
    else if (count === MAX_RUNS) this.#leave();
    return reply.promise;
  }

  #leave(): void {
    const runs = this.#runs;
    if (runs.length === 0) return;
    this.#runs = [];
    void this.#send(runs);
  }

  async #send(runs: readonly Run[]): Promise<void> {
    const given = String(runs[0]?.args.length);
    try {
      const replies = await this.#script.run(this.#client, this.#keys, [given, ...runs.flatMap(({ args }) => args)]);
      if (!Array.isArray(replies) || replies.length !== runs.length) throw new Error("a script replied to other runs");
      for (const [index, { reply }] of runs.entries()) settle(reply, replies[index] ?? null);
    } catch (thrown) {
      for (const { reply } of runs) reply.reject(thrown);
    }
  }
}

/** What fails in the midst of its run may have done a part of it. */
function settle({ resolve, reject }: PromiseWithResolvers<RedisReply>, reply: RedisReply): void {
  if (reply instanceof RedisErrorReply)
    reject(new Fault("INDETERMINATE", `a script of a queue failed: ${reply.message}`));
  else resolve(reply);
}
