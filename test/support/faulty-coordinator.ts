/**
 * A coordinator as `gearmesh serve` runs it, but that obeys one order to fail: the file of its port in the directory where it runs.
 * Only tests start it.
 */
import { readFileSync, rmSync } from "node:fs";
import { Coordinator } from "../../src/app/coordinator.ts";
import { Fault } from "../../src/base/fault.ts";
import { readSettings } from "../../src/cli/settings-command.ts";
import { stopRequested } from "../../src/cli/stop-requested.ts";
import type { FaultPoint, FaultPoints } from "../../src/functions/fault-points.ts";
import { type FaultOrder, orderPath } from "./fault-order.ts";
import { NetworkCut } from "./network-cut.ts";

class OrderedFaults implements FaultPoints {
  readonly #path: string;
  readonly #network = new NetworkCut();

  constructor(path: string) {
    this.#path = path;
  }

  reached(point: FaultPoint): Promise<void> | undefined {
    const order = this.#order();
    if (order?.point !== point) return undefined;
    // First: whoever starts in the place of a killed one is not to obey it again.
    rmSync(this.#path);
    return this.#obey(order);
  }

  async #obey(order: FaultOrder): Promise<void> {
    if (order.fault === "fail") throw new Fault(order.code, `it fails at ${order.point}, as it was ordered to`);
    if (order.fault === "cut") this.#network.begin(order.forMs);
    else process.kill(process.pid, order.fault === "kill" ? "SIGKILL" : "SIGSTOP");
    // What broke is noticed in a later turn, and so is a signal.
    await new Promise((resolve) => setImmediate(resolve));
  }

  #order(): FaultOrder | undefined {
    try {
      return JSON.parse(readFileSync(this.#path, "utf8"));
    } catch {
      return undefined;
    }
  }
}

const { settings } = readSettings([]);
const stop = stopRequested();
const faults = new OrderedFaults(orderPath(process.cwd(), String(settings.listen.port)));
const coordinator = new Coordinator(settings, faults);
try {
  await coordinator.start();
  await stop;
} finally {
  await coordinator.close();
}
