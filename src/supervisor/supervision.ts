import { rmSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Address, formatAddress } from "../base/address.ts";
import { monotonicMs } from "../base/deadline.ts";
import { Fault } from "../base/fault.ts";
import type { Logger } from "../telemetry/logger.ts";
import { readReadiness } from "../telemetry/readiness.ts";
import { ControlSocket, type InstanceStatus, type SupervisorStatus } from "./control-socket.ts";
import type { Instance } from "./instance.ts";
import { InstanceFiles } from "./instance-files.ts";
import { InstanceProcess, type Launch } from "./instance-process.ts";
import type { Event, Order, Signal } from "./orders.ts";
import { Supervisor, type SupervisorLimits } from "./supervisor.ts";

/** How often instances are asked whether they are ready. Unit: ms. */
const PERIOD_MS = 250;
/** Between two attempts to learn from a Redis that is away which others run here. Unit: ms. */
const FIND_AGAIN_MS = 1000;
/** Longest that a port may take to say whether somebody listens there. Unit: ms. */
const PORT_TIMEOUT_MS = 1000;

const SIGNALS: readonly Signal[] = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2", "SIGTTOU"];

/** Where the coordinator beside a Redis listens. */
export interface Doors {
  readonly listen: Address;
  readonly opsListen: Address;
}

export interface SupervisionParts {
  /** For pid files, logs and the socket; is there already. */
  readonly directory: string;
  readonly limits: SupervisorLimits;
  readonly logger: Logger;
  /** The local Redis nodes as they are now. Rejects with UNAVAILABLE while they cannot be known. */
  readonly findRedises: () => Promise<readonly Address[]>;
  readonly doorsOf: (redis: Address) => Doors;
  readonly launch: (redis: Address, number: number) => Launch;
  /** SIGHUP or SIGUSR2: instances that start from now on may have other settings. */
  readonly reload: () => void;
}

/** A process, where it listens, and whether it is being asked for its readiness. */
interface Running {
  readonly process: InstanceProcess;
  readonly doors: Doors;
  isAsked: boolean;
}

/** Carries out what a Supervisor orders: processes, files, signals and the clock. */
export class Supervision {
  readonly #parts: SupervisionParts;
  readonly #supervisor: Supervisor;
  readonly #files: InstanceFiles;
  /** Every Redis that was found, by `host:port`. */
  readonly #redises = new Map<string, Address>();
  readonly #running = new Map<string, Running>();
  readonly #ended = Promise.withResolvers<void>();
  readonly #stopping = new AbortController();

  constructor(parts: SupervisionParts) {
    this.#parts = parts;
    this.#supervisor = new Supervisor(parts.limits);
    this.#files = new InstanceFiles(parts.directory, parts.limits.prefix);
  }

  /** Resolves once it was told to stop and no instance is left. Rejects with UNAVAILABLE where it stopped for another reason, or where it runs already. */
  async run(): Promise<void> {
    const { directory } = this.#parts;
    const socket = await ControlSocket.claim(directory, () => this.#status());
    const pidPath = join(directory, "supervisor.pid");
    const listeners = this.#listeners();
    const clock = setInterval(() => this.#tick(), PERIOD_MS);
    for (const [signal, listener] of listeners) process.on(signal, listener);
    try {
      writeFileSync(pidPath, `${process.pid}\n`, { mode: 0o600 });
      await Promise.all([this.#ended.promise, this.#begin()]);
    } finally {
      for (const [signal, listener] of listeners) process.off(signal, listener);
      clearInterval(clock);
      rmSync(pidPath, { force: true });
      socket.close();
    }
  }

  #listeners(): readonly (readonly [NodeJS.Signals, () => void])[] {
    const told = SIGNALS.map((signal) => [signal, () => this.#signalled(signal)] as const);
    return [...told, ["SIGTTIN", () => void this.#adopt()]];
  }

  #signalled(signal: Signal): void {
    if (signal === "SIGHUP" || signal === "SIGUSR2") this.#parts.reload();
    if (signal === "SIGTERM" || signal === "SIGINT") this.#stopping.abort();
    this.#handle({ kind: "signal", signal });
  }

  async #begin(): Promise<void> {
    const left = this.#files.withPid();
    const found = await this.#find();
    if (left.length > 0) await this.#untilQuiet(found);
    for (const number of left) this.#files.removePid(number);
    const free = await this.#withoutCoordinator(found);
    if (this.#stopping.signal.aborted) return;
    for (const redis of found) if (!free.includes(redis)) this.#warnOfForeign(redis);
    if (free.length === 0) throw new Fault("UNAVAILABLE", "there is no local Redis without a coordinator");
    this.#handle({ kind: "nodes", redises: this.#keys(free) });
  }

  /** What a supervisor that was killed left ends by itself, and has its ports until then: that of health is the last to go. */
  async #untilQuiet(redises: readonly Address[]): Promise<void> {
    const { limits, doorsOf } = this.#parts;
    const giveUpAt = monotonicMs() + limits.stopWithinMs;
    while (monotonicMs() < giveUpAt && !this.#stopping.signal.aborted) {
      const answering = await Promise.all(redises.map((redis) => answers(doorsOf(redis).opsListen)));
      if (!answering.includes(true)) return;
      await delay(PERIOD_MS);
    }
  }

  /** Those of the Redis nodes beside which nobody listens. */
  async #withoutCoordinator(redises: readonly Address[]): Promise<readonly Address[]> {
    const answering = await Promise.all(redises.map((redis) => answers(this.#parts.doorsOf(redis).listen)));
    return redises.filter((_, index) => !answering[index]);
  }

  /** Tries until it is told, or told to stop. */
  async #find(): Promise<readonly Address[]> {
    let last = "";
    while (!this.#stopping.signal.aborted) {
      try {
        return await this.#parts.findRedises();
      } catch (error) {
        const { message } = error as Error;
        if (message !== last) this.#parts.logger.warn({}, `no instance can be started yet: ${message}`);
        last = message;
        await delay(FIND_AGAIN_MS, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      }
    }
    return [];
  }

  async #adopt(): Promise<void> {
    this.#parts.logger.info({}, "SIGTTIN: one instance more");
    try {
      const found = await this.#parts.findRedises();
      const free = await this.#withoutCoordinator(found);
      this.#handle({ kind: "more", redises: this.#keys(free) });
    } catch (error) {
      this.#parts.logger.warn({}, `no instance more: ${(error as Error).message}`);
    }
  }

  #warnOfForeign(redis: Address): void {
    const address = formatAddress(this.#parts.doorsOf(redis).listen);
    const message = `beside the Redis at ${formatAddress(redis)} a coordinator runs already (${address}): it is left alone; once it is gone, SIGTTIN starts one`;
    this.#parts.logger.warn({}, message);
  }

  #keys(redises: readonly Address[]): readonly string[] {
    for (const redis of redises) this.#redises.set(formatAddress(redis), redis);
    return redises.map(formatAddress);
  }

  #tick(): void {
    this.#handle({ kind: "tick" });
    for (const [redis, running] of this.#running) if (!running.isAsked) void this.#ask(redis, running);
  }

  /** What a process says counts only while it is still the instance's. */
  async #ask(redis: string, running: Running): Promise<void> {
    running.isAsked = true;
    const readiness = await readReadiness(running.doors.opsListen);
    running.isAsked = false;
    if (this.#running.get(redis) !== running) return;
    const missing = readiness?.ready === true ? undefined : (readiness?.reason ?? "its ops port does not answer");
    this.#handle({ kind: "told", redis, missing, number: this.#numberIn(readiness?.node) });
  }

  /** `gearmesh-?`: it has none yet. */
  #numberIn(node: string | undefined): number | undefined {
    const { prefix } = this.#parts.limits;
    const number = node?.startsWith(`${prefix}-`) ? Number(node.slice(prefix.length + 1)) : Number.NaN;
    return Number.isSafeInteger(number) && number > 0 ? number : undefined;
  }

  #handle(event: Event): void {
    for (const order of this.#supervisor.handle(event, monotonicMs())) this.#carryOut(order);
  }

  #carryOut(order: Order): void {
    switch (order.kind) {
      case "start":
        this.#start(order.redis, order.number);
        break;
      case "stop":
        this.#running.get(order.redis)?.process.signal(order.signal);
        break;
      case "rename":
        this.#keepFiles(() => this.#files.move(order.moves));
        break;
      case "forget":
        this.#keepFiles(() => this.#files.removePid(order.number));
        break;
      case "log":
        this.#parts.logger[order.level]({}, order.message);
        break;
      case "exit":
        if (order.failure === undefined) this.#ended.resolve();
        else this.#ended.reject(new Fault("UNAVAILABLE", order.failure));
    }
  }

  #start(key: string, number: number): void {
    const redis = this.#redises.get(key);
    if (!redis) return;
    const ended = (how: string): void => {
      this.#running.delete(key);
      this.#handle({ kind: "ended", redis: key, how });
    };
    try {
      const { launch, doorsOf } = this.#parts;
      const process = InstanceProcess.start(launch(redis, number), this.#files.path(number, "log"), ended);
      if (!process) return;
      this.#running.set(key, { process, doors: doorsOf(redis), isAsked: false });
      this.#keepFiles(() => this.#files.writePid(number, process.pid));
    } catch (error) {
      // Later, as one that did start ends later, too: we are in the midst of the orders.
      setImmediate(() => ended(`it could not be started: ${(error as Error).message}`));
    }
  }

  /** A full disk ends no coordinator. */
  #keepFiles(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#parts.logger.error({}, `pid and log files are not as they should be: ${(error as Error).message}`);
    }
  }

  #status(): SupervisorStatus {
    const { isRolling, instances } = this.#supervisor;
    return { pid: process.pid, isRolling, instances: instances.map((instance) => this.#statusOf(instance)) };
  }

  #statusOf({ redis, number, phase, restarts, startedAtMs }: Instance): InstanceStatus {
    const running = this.#running.get(redis);
    return {
      name: `${this.#parts.limits.prefix}-${number}`,
      ...(running && { pid: running.process.pid, address: formatAddress(running.doors.listen) }),
      redis,
      state: phase.kind === "running" ? (phase.isReady ? "ready" : "not ready") : phase.kind,
      uptimeMs: Math.round(monotonicMs() - startedAtMs),
      restarts,
    };
  }
}

function answers({ host, port }: Address): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = createConnection({ host, port });
  socket.setTimeout(PORT_TIMEOUT_MS, () => socket.destroy());
  socket.once("connect", () => {
    resolve(true);
    socket.destroy();
  });
  socket.on("error", () => socket.destroy());
  socket.once("close", () => resolve(false));
  return promise;
}
