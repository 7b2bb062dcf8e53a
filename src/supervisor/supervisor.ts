import { Deaths } from "./deaths.ts";
import { type Instance, lowestFree } from "./instance.ts";
import type { Event, Order, Signal } from "./orders.ts";
import { Roll } from "./roll.ts";

export interface SupervisorLimits {
  /** What the names of the instances begin with. */
  readonly prefix: string;
  /** Longest that an instance may take to end once it was told to; then it is killed. Unit: ms. */
  readonly stopWithinMs: number;
  /** Longest that an instance may take to be ready again while a roll waits for it. Unit: ms. */
  readonly readyWithinMs: number;
}

/**
 * Decides what becomes of the instances on this machine. It does nothing itself: events and the time go in, orders come out, and whoever carries them out
 * tells it what came of them.
 */
export class Supervisor {
  readonly #limits: SupervisorLimits;
  readonly #instances = new Map<string, Instance>();
  readonly #deaths = new Deaths();
  readonly #roll = new Roll();
  #stop: { readonly failure?: string } | undefined;
  #isOver = false;
  #orders: Order[] = [];

  constructor(limits: SupervisorLimits) {
    this.#limits = limits;
  }

  /** By their numbers. */
  get instances(): readonly Instance[] {
    return [...this.#instances.values()].sort((a, b) => a.number - b.number);
  }

  get isRolling(): boolean {
    return this.#roll.isUnderWay;
  }

  /** `nowMs` never goes back. */
  handle(event: Event, nowMs: number): readonly Order[] {
    this.#orders = [];
    if (this.#isOver) return [];
    this.#see(event, nowMs);
    this.#advanceRoll(nowMs);
    if (this.#stop && this.#instances.size === 0) {
      this.#isOver = true;
      this.#order({ kind: "exit", ...this.#stop });
    }
    return this.#orders;
  }

  #see(event: Event, nowMs: number): void {
    switch (event.kind) {
      case "nodes":
        if (!this.#stop) for (const redis of event.redises) if (!this.#instances.has(redis)) this.#add(redis, nowMs);
        break;
      case "more":
        this.#more(event.redises, nowMs);
        break;
      case "signal":
        this.#signalled(event.signal, nowMs);
        break;
      case "ended":
        this.#ended(event.redis, event.how, nowMs);
        break;
      case "told":
        this.#told(event);
        break;
      case "tick":
        this.#killTheLate(nowMs);
    }
  }

  #add(redis: string, nowMs: number): void {
    const number = lowestFree(new Set(this.instances.map((instance) => instance.number)));
    this.#instances.set(redis, { redis, number, phase: { kind: "starting" }, restarts: 0, startedAtMs: nowMs });
    this.#log("info", `starting ${this.#name(number)} beside the Redis at ${redis}`);
    this.#order({ kind: "start", redis, number });
  }

  #more(redises: readonly string[], nowMs: number): void {
    if (this.#stop) return;
    const redis = redises.find((one) => !this.#instances.has(one));
    if (redis === undefined) this.#log("warn", "there is no local Redis without a coordinator: no instance more");
    else this.#add(redis, nowMs);
  }

  #signalled(signal: Signal, nowMs: number): void {
    if (signal === "SIGTERM" || signal === "SIGINT") {
      if (this.#stop) this.#killAll(signal);
      else this.#stopAll(`${signal}: stopping all instances`, nowMs);
      return;
    }
    if (this.#stop) return;
    const staying = this.#staying;
    if (signal === "SIGUSR2") {
      this.#log("info", "SIGUSR2: the instances are started again, one at a time");
      this.#roll.add(staying.map(({ redis }) => redis));
    } else if (signal === "SIGHUP") {
      this.#log("info", "SIGHUP: all instances are started again");
      this.#roll.end();
      for (const instance of staying) this.#tellToEnd(instance, "start", nowMs);
    } else this.#fewer(staying, nowMs);
  }

  #fewer(staying: readonly Instance[], nowMs: number): void {
    const highest = staying.at(-1);
    if (!highest || staying.length === 1) {
      this.#log("warn", "SIGTTOU: the last instance stays; SIGTERM ends it");
      return;
    }
    this.#log("info", `SIGTTOU: ${this.#name(highest.number)} is released`);
    this.#roll.forget(highest.redis);
    this.#tellToEnd(highest, "forget", nowMs);
  }

  /** Those that are not on their way out, by their numbers. */
  get #staying(): readonly Instance[] {
    return this.instances.filter(({ phase }) => phase.kind !== "stopping" || phase.then === "start");
  }

  #ended(redis: string, how: string, nowMs: number): void {
    const instance = this.#instances.get(redis);
    if (!instance) return;
    const { number, phase } = instance;
    if (phase.kind !== "stopping") {
      this.#died(instance, how, nowMs);
      return;
    }
    this.#log("info", `${this.#name(number)} has ended (${how})`);
    if (phase.then === "forget") this.#forget(instance);
    else this.#startAgain(instance, nowMs);
  }

  #died(instance: Instance, how: string, nowMs: number): void {
    const name = this.#name(instance.number);
    const expected = this.#staying.length;
    const isFlapping = this.#deaths.note(nowMs, expected);
    this.#log("warn", `${name} died (${how})`);
    if (!isFlapping) {
      this.#startAgain(instance, nowMs);
      return;
    }
    this.#forget(instance);
    const failure = `the instances keep dying: ${this.#deaths.summary}, with ${expected} wanted; the last was ${name} (${how}), and its log says more`;
    this.#stopAll(failure, nowMs, failure);
  }

  #startAgain(instance: Instance, nowMs: number): void {
    const { redis, number, restarts } = instance;
    const phase = { kind: "starting" } as const;
    this.#instances.set(redis, { ...instance, phase, restarts: restarts + 1, startedAtMs: nowMs });
    this.#log("info", `starting ${this.#name(number)} again`);
    this.#order({ kind: "start", redis, number });
  }

  #forget({ redis, number }: Instance): void {
    this.#instances.delete(redis);
    this.#roll.forget(redis);
    this.#order({ kind: "forget", redis, number });
  }

  #told({ redis, missing, number }: Event & { readonly kind: "told" }): void {
    const instance = this.#instances.get(redis);
    if (!instance || instance.phase.kind === "stopping") return;
    const isReady = missing === undefined;
    const wasReady = instance.phase.kind === "running" && instance.phase.isReady;
    if (isReady !== wasReady) {
      this.#instances.set(redis, { ...instance, phase: { kind: "running", isReady } });
      const name = this.#name(instance.number);
      if (isReady) this.#log("info", `${name} is ready`);
      else this.#log("warn", `${name} is not ready: ${missing}`);
    }
    if (number !== undefined && number !== instance.number) this.#renumber(redis, number);
  }

  /** Redis decides on names, and two of ours may hear of it in any order: whoever has the number here gets the other's, until it is told its own. */
  #renumber(redis: string, to: number): void {
    const instance = this.#instances.get(redis);
    if (!instance) return;
    const from = instance.number;
    const other = this.instances.find(({ number }) => number === to);
    this.#instances.set(redis, { ...instance, number: to });
    if (other) this.#instances.set(other.redis, { ...other, number: from });
    this.#log("info", `${this.#name(from)} has another name in Redis: it is ${this.#name(to)} from now on`);
    this.#order({ kind: "rename", moves: [{ from, to }, ...(other ? [{ from: to, to: from }] : [])] });
  }

  #tellToEnd(instance: Instance, then: "start" | "forget", nowMs: number): void {
    const { redis, phase } = instance;
    if (phase.kind === "stopping") {
      this.#instances.set(redis, { ...instance, phase: { ...phase, then } });
      return;
    }
    const killAtMs = nowMs + this.#limits.stopWithinMs;
    this.#instances.set(redis, { ...instance, phase: { kind: "stopping", then, killAtMs, isKilled: false } });
    this.#order({ kind: "stop", redis, signal: "SIGTERM" });
  }

  #stopAll(why: string, nowMs: number, failure?: string): void {
    this.#stop = failure === undefined ? {} : { failure };
    this.#log(failure === undefined ? "info" : "error", why);
    this.#roll.end();
    for (const instance of this.instances) this.#tellToEnd(instance, "forget", nowMs);
  }

  #killAll(signal: Signal): void {
    this.#log("warn", `${signal} again: what still runs is killed`);
    for (const instance of this.instances) this.#kill(instance);
  }

  #killTheLate(nowMs: number): void {
    for (const instance of this.instances) {
      const { phase, number } = instance;
      if (phase.kind !== "stopping" || phase.isKilled || nowMs < phase.killAtMs) continue;
      this.#log("warn", `${this.#name(number)} has not ended within ${this.#limits.stopWithinMs} ms: it is killed`);
      this.#kill(instance);
    }
  }

  #kill(instance: Instance): void {
    const { redis, phase } = instance;
    if (phase.kind !== "stopping" || phase.isKilled) return;
    this.#instances.set(redis, { ...instance, phase: { ...phase, isKilled: true } });
    this.#order({ kind: "stop", redis, signal: "SIGKILL" });
  }

  /** The next one only once the one before is ready again. Where it does not become so, the others stay as they are, and serve. */
  #advanceRoll(nowMs: number): void {
    const { stopWithinMs, readyWithinMs } = this.#limits;
    const { current } = this.#roll;
    const rolled = current === undefined ? undefined : this.#instances.get(current);
    if (rolled && !(rolled.phase.kind === "running" && rolled.phase.isReady)) {
      if (!this.#roll.isLate(nowMs)) return;
      this.#log("error", `${this.#name(rolled.number)} was not ready in time again: the others are not started again`);
      this.#roll.end();
      return;
    }
    if (!this.#roll.isUnderWay) return;
    const next = this.#roll.next(nowMs + stopWithinMs + readyWithinMs);
    const instance = next === undefined ? undefined : this.#instances.get(next);
    if (instance) this.#tellToEnd(instance, "start", nowMs);
    else this.#log("info", "all instances were started again");
  }

  #name(number: number): string {
    return `${this.#limits.prefix}-${number}`;
  }

  #log(level: "info" | "warn" | "error", message: string): void {
    this.#order({ kind: "log", level, message });
  }

  #order(order: Order): void {
    this.#orders.push(order);
  }
}
