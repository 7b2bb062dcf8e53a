import type { Command } from "commander";
import { Fault } from "../../../base/fault.ts";
import type { SupervisorStatus } from "../../../supervisor/control-socket.ts";
import { requireSupervisor, type WaitOptions, waitFor, waitOptions } from "../../cluster-directory.ts";

interface Options extends WaitOptions {
  readonly allAtOnce?: boolean;
}

export function configure(command: Command): Command {
  return waitOptions(command, 600_000)
    .description(
      "Starts the instances again, with the settings as they are now, and waits until all are ready: one at a time, as SIGUSR2 does.",
    )
    .option("--all-at-once", "all together, as SIGHUP does")
    .addHelpText("after", "\nExample:\n  gearmesh cluster restart")
    .action(run);
}

async function run({ allAtOnce = false, ...options }: Options): Promise<void> {
  const before = await requireSupervisor(options.directory);
  const old = new Set(before.instances.map(({ pid }) => pid));
  process.kill(before.pid, allAtOnce ? "SIGHUP" : "SIGUSR2");
  let hasBegun = false;
  await waitFor("the restart", options, (now) => {
    if (now?.pid !== before.pid) throw new Fault("UNAVAILABLE", "the supervisor has ended meanwhile: its log says why");
    const isOldThere = now.instances.some(({ pid }) => old.has(pid));
    hasBegun ||= now.isRolling;
    if (hasBegun && isOldThere && !now.isRolling) {
      throw new Fault("UNAVAILABLE", "an instance was not ready in time again: the others were not started again");
    }
    return !isOldThere && areReady(now);
  });
  console.log("all instances were started again");
}

function areReady({ instances }: SupervisorStatus): boolean {
  return instances.every(({ state }) => state === "ready");
}
