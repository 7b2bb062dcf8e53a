import type { Command } from "commander";
import { askSupervisor } from "../../../supervisor/control-socket.ts";
import { type WaitOptions, waitFor, waitOptions } from "../../cluster-directory.ts";

export function configure(command: Command): Command {
  return waitOptions(command, 60_000)
    .description("Stops the supervisor and its instances, as SIGTERM does, and waits until all are gone.")
    .addHelpText("after", "\nExample:\n  gearmesh cluster stop")
    .action(run);
}

async function run(options: WaitOptions): Promise<void> {
  const { directory } = options;
  const status = await askSupervisor(directory);
  if (!status) {
    console.log(`no cluster runs in ${directory}`);
    return;
  }
  process.kill(status.pid, "SIGTERM");
  await waitFor("the end of the instances", options, (now) => now?.pid !== status.pid);
  console.log("stopped");
}
