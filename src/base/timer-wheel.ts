import { type Clock, systemClock } from "./clock.ts";

/**
 * Something that happens at one point in time unless it is disarmed before. The wheel threads its timers through their own
 * fields, so that arming and disarming allocate nothing: a call arms one and nearly always disarms it again.
 */
export abstract class Timer {
  /** Position in the wheel; only the wheel touches these. */
  wheelNext: Timer | undefined;
  wheelPrevious: Timer | undefined;
  wheelDueTick = 0;

  /** The time has come. The timer is disarmed already. Must not throw. */
  abstract expire(): void;
}

class Slot extends Timer {
  override wheelNext: Timer = this;
  override wheelPrevious: Timer = this;

  override expire(): void {
    // The head of a slot's ring is never due.
  }
}

class Callback extends Timer {
  readonly expire: () => void;

  constructor(expire: () => void) {
    super();
    this.expire = expire;
  }
}

/** Power of two, so that a tick finds its slot with a mask. One turn is 5.12 s; later timers stay for further turns. */
const SLOTS = 512;

/** A setTimeout for each call is too dear at 100,000 calls a second; they share one, this coarse. */
export const TICK_MS = 10;

/**
 * Many timers on one of the clock's. A timer never expires early, and two ticks late at most, plus whatever holds up the event loop.
 * The wheel sleeps until the first tick for which a timer is armed, and does not hold the process.
 */
export class TimerWheel {
  readonly #clock: Clock;
  readonly #slots: readonly Slot[] = Array.from({ length: SLOTS }, () => new Slot());
  #armed = 0;
  /** The last tick whose timers were expired. */
  #tick = 0;
  /** The tick that the wheel sleeps until; infinite where nothing is armed. */
  #wakeTick = Number.POSITIVE_INFINITY;
  #stopSleeping: (() => void) | undefined;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** How many timers are armed. */
  get armed(): number {
    return this.#armed;
  }

  now(): number {
    return this.#clock.now();
  }

  /** Arms `timer` for `dueMs` on the wheel's clock; an armed timer is moved. A time that has passed is due at the next tick. */
  arm(timer: Timer, dueMs: number): void {
    this.disarm(timer);
    if (this.#wakeTick === Number.POSITIVE_INFINITY) this.#tick = this.#nowTick();
    const dueTick = Math.max(Math.ceil(dueMs / TICK_MS), this.#tick + 1);
    const slot = this.#slotOf(dueTick);
    const last = slot.wheelPrevious;
    timer.wheelDueTick = dueTick;
    timer.wheelNext = slot;
    timer.wheelPrevious = last;
    last.wheelNext = timer;
    slot.wheelPrevious = timer;
    this.#armed++;
    if (dueTick < this.#wakeTick) this.#sleepUntil(dueTick);
  }

  /** Runs `callback` once after `delayMs`, unless the timer is disarmed before. */
  after(delayMs: number, callback: () => void): Timer {
    const timer = new Callback(callback);
    this.arm(timer, this.#clock.now() + delayMs);
    return timer;
  }

  /** Idempotent. */
  disarm(timer: Timer): void {
    const { wheelNext: next, wheelPrevious: previous } = timer;
    if (next === undefined || previous === undefined) return;
    previous.wheelNext = next;
    next.wheelPrevious = previous;
    timer.wheelNext = undefined;
    timer.wheelPrevious = undefined;
    this.#armed--;
  }

  #slotOf(tick: number): Slot {
    return this.#slots[tick % SLOTS] as Slot;
  }

  #nowTick(): number {
    return Math.floor(this.#clock.now() / TICK_MS);
  }

  #sleepUntil(tick: number): void {
    this.#stopSleeping?.();
    this.#wakeTick = tick;
    this.#stopSleeping = this.#clock.after(Math.max(0, Math.ceil(tick * TICK_MS - this.#clock.now())), this.#wake);
  }

  /** It may find that what it woke for was disarmed: calls mostly are, and nobody tells the clock. */
  readonly #wake = (): void => {
    const nowTick = this.#nowTick();
    const from = Math.max(this.#tick + 1, nowTick - SLOTS + 1);
    this.#tick = Math.max(this.#tick, nowTick);
    // What is armed meanwhile need not disturb the sleep that begins below.
    this.#wakeTick = Number.NEGATIVE_INFINITY;
    for (let tick = from; tick <= nowTick; tick++) this.#expire(this.#slotOf(tick), nowTick);
    const next = this.#firstArmedTick();
    if (next !== undefined) this.#sleepUntil(next);
    else this.#wakeTick = Number.POSITIVE_INFINITY;
  };

  /** Of a timer that is due in a later turn of the wheel, its slot's next tick. */
  #firstArmedTick(): number | undefined {
    if (this.#armed === 0) return undefined;
    for (let tick = this.#tick + 1; tick <= this.#tick + SLOTS; tick++) {
      const slot = this.#slotOf(tick);
      if (slot.wheelNext !== slot) return tick;
    }
    return undefined;
  }

  /** What expires is taken out first: a timer that is armed or disarmed by another's expiry must not confuse the walk. */
  #expire(slot: Slot, nowTick: number): void {
    const due: Timer[] = [];
    for (let timer = slot.wheelNext; timer !== slot; timer = timer.wheelNext as Timer) {
      if (timer.wheelDueTick <= nowTick) due.push(timer);
    }
    for (const timer of due) {
      if (timer.wheelNext === undefined || timer.wheelDueTick > nowTick) continue;
      this.disarm(timer);
      timer.expire();
    }
  }
}
