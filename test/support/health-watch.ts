import { Redis } from "ioredis";
import type { GearmeshClient } from "../../src/client/client.ts";

/** What one coordinator said of its health, and what it then did. */
export interface HealthSample {
  /** What its Redis was before health was asked. */
  readonly role: string;
  readonly isServing: boolean;
  /** What the call that followed at once gave, or why it failed; undefined where health did not say SERVING. */
  readonly outcome: unknown;
}

export interface HealthWatch extends AsyncDisposable {
  readonly samples: readonly HealthSample[];
}

export interface HealthWatchOptions {
  readonly client: GearmeshClient;
  /** Of the coordinator's own Redis. */
  readonly redisPort: number;
  /** Made at once wherever health says SERVING. */
  readonly call: () => Promise<unknown>;
}

const HEALTH_TIMEOUT_MS = 500;

/** Asks a coordinator for its health without a pause, and takes it at its word. */
export function watchHealth({ client, redisPort, call }: HealthWatchOptions): HealthWatch {
  const redis = new Redis(redisPort);
  redis.on("error", () => undefined);
  const samples: HealthSample[] = [];
  let isStopped = false;
  const watch = async () => {
    while (!isStopped) {
      const role = String(((await redis.call("ROLE")) as unknown[])[0]);
      // One that does not listen yet serves nothing.
      const health = await client.health({ timeoutMs: HEALTH_TIMEOUT_MS }).catch(() => "not-serving");
      const isServing = health === "serving";
      samples.push({ role, isServing, outcome: isServing ? await call().catch(String) : undefined });
    }
  };
  const ended = watch();
  return {
    samples,
    async [Symbol.asyncDispose]() {
      isStopped = true;
      await ended;
      redis.disconnect();
    },
  };
}
