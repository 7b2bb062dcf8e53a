/** The composition root of the sandbox process: puts together what it needs, and takes its coordinator's orders from then on. */
import { flushCompileCache } from "node:module";
import { Socket } from "node:net";
import { SOCKET_DESCRIPTOR, WATCHDOG_DESCRIPTOR } from "../sandbox/descriptors.ts";
import { readGuestModules } from "../sandbox/host/guest-modules.ts";
import { RunningCode } from "../sandbox/host/running-code.ts";
import { SandboxHost } from "../sandbox/host/sandbox-host.ts";
import { startWatchdog } from "../sandbox/host/watchdog.ts";
import { openShard, type SandboxRedis } from "./sandbox-redis.ts";

const running = new RunningCode();

new SandboxHost({
  socket: new Socket({ fd: SOCKET_DESCRIPTOR }),
  modules: readGuestModules(),
  running,
  openShard: ({ redis }, credentials) => openShard(redis as SandboxRedis, credentials),
  watched(traceMs) {
    running.trace(WATCHDOG_DESCRIPTOR, traceMs);
    startWatchdog(running.memory, WATCHDOG_DESCRIPTOR);
  },
  // An isolate that cannot be ended would hold up an orderly exit.
  abandoned: () => process.kill(process.pid, "SIGKILL"),
});

// With NODE_COMPILE_CACHE, Node writes what it has compiled at an orderly exit only, and this process is killed.
flushCompileCache();
