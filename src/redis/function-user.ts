import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Redis } from "ioredis";
import { Fault } from "../base/fault.ts";
import { CommandGuard } from "../functions/guard.ts";
import type { RedisReply } from "../functions/shard-redis.ts";
import { parseCommandTable } from "./command-table.ts";
import type { RedisCredentials } from "./redis-endpoint.ts";

/** Errors of a Redis that may answer otherwise a moment later. */
const TRANSIENT = /^(?:BUSY|LOADING|MASTERDOWN|NOAUTH|TRYAGAIN|UNKILLABLE)\b/;

/**
 * How long the control connection may take to come back: after a restart of Redis it may be later than who asks. Shorter than whoever
 * asks has for connecting. Unit: ms.
 */
const RECONNECT_WAIT_MS = 1500;

/** What the sandbox process says before a function's command, where the slot is on its way there. */
const OURS = "asking";

export interface FunctionUserOptions {
  /** The control connection. */
  readonly client: Redis;
  readonly namespace: string;
  /** As the guard has them. */
  readonly allowedCommands: readonly string[];
  /** Who functions are where Redis lets us make no user. */
  readonly otherwise: RedisCredentials;
  /** The first time that Redis did not let us; the error is its own. */
  readonly onRefused: (error: string) => void;
}

/**
 * The Redis user of functions, which may not run what the guard refuses: so Redis refuses it as well, also within scripts, and in a sandbox process
 * that a library has broken out of. Its password is made by each coordinator for itself and is nowhere but in its memory and its sandbox process'.
 */
export class FunctionUser {
  readonly #options: FunctionUserOptions;
  readonly #username: string;
  readonly #password = randomBytes(32).toString("hex");
  #wasRefused = false;

  constructor(options: FunctionUserOptions) {
    this.#options = options;
    this.#username = functionUsername(options.namespace);
  }

  /**
   * To be asked before each connection, since Redis forgets its users when it starts anew, and another coordinator beside it may have
   * set its own password: who is refused asks again. Rejects with UNAVAILABLE.
   */
  async credentials(): Promise<RedisCredentials> {
    try {
      await this.#set();
      return { username: this.#username, password: this.#password };
    } catch (cause) {
      if (!isErrorReply(cause) || TRANSIENT.test(cause.message)) {
        throw new Fault("UNAVAILABLE", "the Redis user of functions could not be set: Redis did not answer", { cause });
      }
      if (!this.#wasRefused) this.#options.onRefused(cause.message);
      this.#wasRefused = true;
      return this.#options.otherwise;
    }
  }

  /** All at once, as Redis applies it: connections that have authenticated stay so, and never see a user with too many rights. */
  async #set(): Promise<void> {
    const { client, allowedCommands } = this.#options;
    if (client.status !== "ready") await once(client, "ready", { signal: AbortSignal.timeout(RECONNECT_WAIT_MS) });
    const table = parseCommandTable((await client.callBuffer("COMMAND")) as RedisReply);
    const guard = new CommandGuard(table, new Set(allowedCommands));
    // The hash in the password's place: what is sent may be seen by MONITOR.
    const hash = createHash("sha256").update(this.#password).digest("hex");
    const refused = guard.refused().flatMap((name) => (name === OURS ? [] : `-${name}`));
    await client.call("ACL", "SETUSER", this.#username, "reset", "on", `#${hash}`, "~*", "&*", "+@all", ...refused);
  }
}

function isErrorReply(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === "ReplyError";
}

/** One for all coordinators of the namespace, so that none is left over by those that are gone. */
export function functionUsername(namespace: string): string {
  return `gearmesh:${namespace}:functions`;
}
