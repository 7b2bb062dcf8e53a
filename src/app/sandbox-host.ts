import { descriptorOfThread } from "../sandbox/descriptors.ts";
import { readGuestModules } from "../sandbox/host/guest-modules.ts";
import type { RunningCode } from "../sandbox/host/running-code.ts";
import { SandboxHost } from "../sandbox/host/sandbox-host.ts";
import { ShardLock } from "../sandbox/host/shard-lock.ts";
import type { ThreadMemory } from "../sandbox/host/thread-memory.ts";
import { openShard, type SandboxRedis } from "./sandbox-redis.ts";

export interface HostedThread {
  /** Its number, from 0. */
  readonly thread: number;
  readonly memory: ThreadMemory;
  readonly running: RunningCode;
  readonly watched: (traceMs: number) => void;
  readonly startThread: (thread: number) => void;
}

/** Puts together what one thread of the sandbox process needs, and takes orders from then on. */
export function hostThread({ thread, memory, running, watched, startThread }: HostedThread): SandboxHost {
  const lock = new ShardLock(memory.lock, thread);
  return new SandboxHost({
    descriptor: descriptorOfThread(thread),
    modules: readGuestModules(),
    running,
    lock,
    // Several threads that each keep a core busy while they wait would keep Redis from answering.
    openShard: ({ redis }, credentials) =>
      openShard(redis as SandboxRedis, { credentials, mayStayAwake: () => lock.holders <= 1 }),
    watched,
    startThread,
    // An isolate that cannot be ended would hold up an orderly exit.
    abandoned: () => process.kill(process.pid, "SIGKILL"),
  });
}
