import { Buffer } from "node:buffer";
import { setTimeout as delay } from "node:timers/promises";
import { deadlineIn, remainingMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type {
  ConnectionClaim,
  ConnectionDirectory,
  ConnectionRecord,
  Holder,
} from "../connections/connection-directory.ts";
import { type ConnectionDetails, connectionDetails } from "../connections/session-codec.ts";
import { RedisScript } from "./redis-script.ts";
import type { StoreClient } from "./store-client.ts";

/** Time is the server's: coordinators' clocks differ. */
const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/** Writes a record and begins its lease; it is kept for the grace time beyond. ARGV: node id, run id, token hash, lease, grace. */
const WRITE = `
local function write(token, details)
  redis.call('HSET', KEYS[1], 'node', ARGV[1], 'run', ARGV[2], 'token', token, 'details', details, 'leasedUntil', string.format('%.0f', now + tonumber(ARGV[4])))
  redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[4]) + tonumber(ARGV[5]))
end
`;

/** ARGV besides: details. */
const PUT = new RedisScript(`${NOW}${WRITE}
local run = redis.call('HGET', KEYS[1], 'run')
if run and run ~= ARGV[2] then return 0 end
write(redis.call('HGET', KEYS[1], 'token') or ARGV[3], ARGV[6])
return 1
`);

/** ARGV besides: the token hash that the record has, and details where they change. Replies the details; nil where it has another one. */
const CLAIM = new RedisScript(`${NOW}${WRITE}
if redis.call('HGET', KEYS[1], 'token') ~= ARGV[6] then return nil end
local details = ARGV[7] or redis.call('HGET', KEYS[1], 'details')
write(ARGV[3], details)
return details
`);

const RENEW = new RedisScript(`${NOW}
local run = redis.call('HGET', KEYS[1], 'run')
if not run then return -1 end
if run ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'node', ARGV[4], 'leasedUntil', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) + tonumber(ARGV[3]))
return 1
`);

const FIND = new RedisScript(`${NOW}
local found = redis.call('HMGET', KEYS[1], 'node', 'run', 'token', 'details', 'leasedUntil')
if not found[1] then return nil end
return {found[1], found[2], found[3], found[4], tonumber(found[5]) > now and 1 or 0}
`);

const REMOVE = new RedisScript(`
local found = redis.call('HMGET', KEYS[1], 'run', 'token')
if found[1] == ARGV[1] and found[2] == ARGV[2] then return redis.call('DEL', KEYS[1]) end
return 0
`);

/** How long and how often it is asked what became of a claim whose answer was lost. Unit: ms. */
const CHECK_TIMEOUT_MS = 3000;
const CHECK_PERIOD_MS = 50;

export interface ConnectionDirectoryOptions {
  readonly namespace: string;
  /** Unit: ms. */
  readonly leaseMs: number;
  /** Unit: ms. */
  readonly graceMs: number;
}

/** One hash for each connection, at `<namespace>:{connection:<id>}`, so that they are spread over the shards. */
export class RedisConnectionDirectory implements ConnectionDirectory {
  readonly #client: StoreClient;
  readonly #options: ConnectionDirectoryOptions;

  constructor(client: StoreClient, options: ConnectionDirectoryOptions) {
    this.#client = client;
    this.#options = options;
  }

  async put({ details, ...record }: ConnectionRecord): Promise<boolean> {
    return (await this.#run(PUT, details.id, [...this.#fieldsOf(record), connectionDetails.encode(details)])) === 1n;
  }

  async claim(
    tokenHash: string,
    { connectionId, details, ...claim }: ConnectionClaim,
  ): Promise<ConnectionDetails | undefined> {
    const changed = details ? [connectionDetails.encode(details)] : [];
    try {
      const reply = await this.#run(CLAIM, connectionId, [...this.#fieldsOf(claim), tokenHash, ...changed]);
      return Buffer.isBuffer(reply) ? connectionDetails.decode(reply) : undefined;
    } catch (thrown) {
      const fault = Fault.from(thrown);
      if (fault.code !== "INDETERMINATE") throw fault;
      const found = await this.#findAgain(connectionId, fault);
      // It tells by what is there now whether it happened: nobody else knows the new token.
      if (found?.record.tokenHash === claim.tokenHash) return found.record.details;
      if (found?.record.tokenHash !== tokenHash) return undefined;
      throw new Fault("UNAVAILABLE", "the claim was lost on its way to Redis", { cause: fault });
    }
  }

  async renew(connectionId: string, { nodeId, runId }: Holder): Promise<"renewed" | "missing" | "taken"> {
    const { leaseMs, graceMs } = this.#options;
    const answer = await this.#run(RENEW, connectionId, [runId, String(leaseMs), String(graceMs), nodeId]);
    if (answer === 1n) return "renewed";
    return answer === 0n ? "taken" : "missing";
  }

  async find(
    connectionId: string,
  ): Promise<{ readonly record: ConnectionRecord; readonly isLeased: boolean } | undefined> {
    const reply = await this.#run(FIND, connectionId, []);
    if (!Array.isArray(reply)) return undefined;
    const [nodeId, runId, tokenHash, details, leased] = reply;
    if (!Buffer.isBuffer(details)) return undefined;
    return {
      record: {
        holder: { nodeId: String(nodeId), runId: String(runId) },
        tokenHash: String(tokenHash),
        details: connectionDetails.decode(details),
      },
      isLeased: leased === 1n,
    };
  }

  async remove(connectionId: string, runId: string, tokenHash: string): Promise<void> {
    await this.#run(REMOVE, connectionId, [runId, tokenHash]);
  }

  /** Rejects with `lost` where Redis does not come back in time. */
  async #findAgain(connectionId: string, lost: Fault): ReturnType<ConnectionDirectory["find"]> {
    const giveUpAt = deadlineIn(CHECK_TIMEOUT_MS);
    while (remainingMs(giveUpAt) > 0) {
      await delay(CHECK_PERIOD_MS);
      try {
        return await this.find(connectionId);
      } catch {
        // The connection that was lost is not there again yet.
      }
    }
    throw lost;
  }

  #fieldsOf({ holder, tokenHash }: Omit<ConnectionRecord, "details">): string[] {
    const { leaseMs, graceMs } = this.#options;
    return [holder.nodeId, holder.runId, tokenHash, String(leaseMs), String(graceMs)];
  }

  #run(script: RedisScript, connectionId: string, args: readonly (string | Uint8Array)[]): Promise<unknown> {
    return script.run(this.#client, `${this.#options.namespace}:{connection:${connectionId}}`, args);
  }
}
