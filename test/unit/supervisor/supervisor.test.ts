import test from "ava";
import fc from "fast-check";
import type { Event, Order } from "../../../src/supervisor/orders.ts";
import { Supervisor } from "../../../src/supervisor/supervisor.ts";

const LIMITS = { prefix: "gearmesh", stopWithinMs: 1000, readyWithinMs: 5000 };
const REDISES = ["a", "b", "c", "d"];

/** A supervisor, and the processes that there would be. */
class Machine {
  readonly supervisor = new Supervisor(LIMITS);
  readonly running = new Set<string>();
  readonly orders: Order[] = [];
  nowMs = 0;

  /** What came of it. */
  tell(event: Event): readonly Order[] {
    const orders = this.supervisor.handle(event, this.nowMs);
    this.orders.push(...orders);
    for (const order of orders) if (order.kind === "start") this.running.add(order.redis);
    return orders;
  }

  nodes(...redises: string[]): readonly Order[] {
    return this.tell({ kind: "nodes", redises });
  }

  ready(...redises: string[]): void {
    for (const redis of redises) this.tell({ kind: "told", redis, missing: undefined, number: undefined });
  }

  ended(redis: string, how = "signal SIGKILL"): readonly Order[] {
    this.running.delete(redis);
    return this.tell({ kind: "ended", redis, how });
  }

  signal(signal: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGUSR2" | "SIGTTOU"): readonly Order[] {
    return this.tell({ kind: "signal", signal });
  }

  tick(afterMs: number): readonly Order[] {
    this.nowMs += afterMs;
    return this.tell({ kind: "tick" });
  }

  get names(): readonly string[] {
    return this.supervisor.instances.map(({ number, redis }) => `${number}:${redis}`);
  }
}

/** Without what is only said. */
function done(orders: readonly Order[]): readonly Order[] {
  return orders.filter(({ kind }) => kind !== "log");
}

function said(orders: readonly Order[]): string {
  return orders.flatMap((order) => (order.kind === "log" ? [order.message] : [])).join("\n");
}

function started(redises: readonly string[]): Machine {
  const machine = new Machine();
  machine.nodes(...redises);
  machine.ready(...redises);
  return machine;
}

const stop = (redis: string, signal: "SIGTERM" | "SIGKILL" = "SIGTERM") => ({ kind: "stop", redis, signal }) as const;
const start = (redis: string, number: number) => ({ kind: "start", redis, number }) as const;

test("the instances are numbered from 1 on, and the dead are replaced under their numbers", (t) => {
  const machine = new Machine();
  t.deepEqual(done(machine.nodes("a", "b", "c")), [start("a", 1), start("b", 2), start("c", 3)]);
  machine.ready("a", "b", "c");
  const replaced = machine.ended("b", "signal SIGKILL");
  t.deepEqual(done(replaced), [start("b", 2)]);
  t.regex(said(replaced), /gearmesh-2 died \(signal SIGKILL\)/);
  t.deepEqual(done(machine.ended("c", "exit code 0")), [start("c", 3)]);
  t.deepEqual(
    machine.supervisor.instances.map(({ restarts }) => restarts),
    [0, 1, 1],
  );
});

test("SIGTERM and SIGINT stop all; what takes too long is killed, and at the second signal everything", (t) => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    const machine = started(["a", "b"]);
    t.deepEqual(done(machine.signal(signal)), [stop("a"), stop("b")]);
    t.deepEqual(done(machine.ended("a")), [{ kind: "forget", redis: "a", number: 1 }]);
    t.deepEqual(done(machine.tick(999)), []);
    t.deepEqual(done(machine.tick(1)), [stop("b", "SIGKILL")]);
    t.deepEqual(done(machine.tick(1000)), []);
    t.deepEqual(done(machine.ended("b")), [{ kind: "forget", redis: "b", number: 2 }, { kind: "exit" }]);
    t.deepEqual(machine.signal(signal), []);
  }
  const machine = started(["a", "b"]);
  machine.signal("SIGINT");
  t.deepEqual(done(machine.signal("SIGTERM")), [stop("a", "SIGKILL"), stop("b", "SIGKILL")]);
});

test("told to stop before there is an instance, it ends at once, and starts none", (t) => {
  const machine = new Machine();
  t.deepEqual(done(machine.signal("SIGTERM")), [{ kind: "exit" }]);
  t.deepEqual(machine.nodes("a"), []);
});

test("SIGUSR2 starts the instances again one at a time, the next once the one before is ready", (t) => {
  const machine = started(["a", "b"]);
  t.deepEqual(done(machine.signal("SIGUSR2")), [stop("a")]);
  t.deepEqual(done(machine.ended("a", "exit code 0")), [start("a", 1)]);
  t.deepEqual(done(machine.tick(100)), []);
  machine.tell({ kind: "told", redis: "a", missing: "the sandbox process is starting", number: 1 });
  t.true(machine.supervisor.isRolling);
  // That it dies on its way is no reason to go on without it.
  t.deepEqual(done(machine.ended("a")), [start("a", 1)]);
  machine.ready("a");
  t.deepEqual(done(machine.orders.slice(-2)), [stop("b")]);
  machine.ended("b", "exit code 0");
  machine.ready("b");
  t.false(machine.supervisor.isRolling);
  t.deepEqual(machine.names, ["1:a", "2:b"]);
});

test("a roll ends where an instance does not become ready again: the others go on serving", (t) => {
  const machine = started(["a", "b"]);
  machine.signal("SIGUSR2");
  machine.ended("a");
  t.deepEqual(machine.tick(5999), []);
  const late = machine.tick(1);
  t.deepEqual(done(late), []);
  t.regex(said(late), /gearmesh-1 was not ready in time again: the others are not started again/);
  t.false(machine.supervisor.isRolling);
  machine.ready("a");
  t.deepEqual(done(machine.tick(1)), []);
});

test("SIGHUP starts all instances again together, also in the midst of a roll", (t) => {
  const machine = started(["a", "b", "c"]);
  machine.signal("SIGUSR2");
  t.deepEqual(done(machine.signal("SIGHUP")), [stop("b"), stop("c")]);
  t.false(machine.supervisor.isRolling);
  for (const [index, redis] of ["a", "b", "c"].entries())
    t.deepEqual(done(machine.ended(redis)), [start(redis, index + 1)]);
});

test("SIGTTOU releases the highest but never the last; one more takes the lowest free number", (t) => {
  const machine = started(["a", "b", "c"]);
  t.deepEqual(done(machine.signal("SIGTTOU")), [stop("c")]);
  t.deepEqual(done(machine.signal("SIGTTOU")), [stop("b")]);
  const last = machine.signal("SIGTTOU");
  t.deepEqual(done(last), []);
  t.regex(said(last), /the last instance stays/);
  machine.ended("c");
  machine.ended("b");
  t.deepEqual(done(machine.tell({ kind: "more", redises: ["a", "d", "c"] })), [start("d", 2)]);
  const none = machine.tell({ kind: "more", redises: ["a", "d"] });
  t.deepEqual(done(none), []);
  t.regex(said(none), /there is no local Redis without a coordinator/);
});

test("more than twice as many deaths as instances within 30 s stop everything, with the reason", (t) => {
  const machine = started(["a", "b"]);
  for (let death = 1; death <= 4; death++) t.deepEqual(done(machine.ended("b")), [start("b", 2)]);
  const flapping = machine.ended("b", "exit code 69");
  t.deepEqual(done(flapping), [{ kind: "forget", redis: "b", number: 2 }, stop("a")]);
  t.regex(said(flapping), /5 deaths within 30 s, with 2 wanted; the last was gearmesh-2 \(exit code 69\)/);
  const exit = done(machine.ended("a")).at(-1);
  t.regex(exit?.kind === "exit" ? (exit.failure ?? "") : "", /the instances keep dying/);
});

test("deaths that are further apart are not flapping, and ends that were asked for are no deaths", (t) => {
  const machine = started(["a"]);
  for (let death = 0; death < 20; death++) {
    t.deepEqual(done(machine.ended("a")), [start("a", 1)]);
    machine.tick(15_000);
  }
  for (let restart = 0; restart < 20; restart++) {
    machine.ready("a");
    machine.signal("SIGHUP");
    t.deepEqual(done(machine.ended("a")), [start("a", 1)]);
  }
});

test("numbers and files follow the names in Redis, also where two change places", (t) => {
  const machine = started(["a", "b"]);
  const told = (redis: string, number: number) => machine.tell({ kind: "told", redis, missing: undefined, number });
  t.deepEqual(done(told("a", 7)), [{ kind: "rename", moves: [{ from: 1, to: 7 }] }]);
  t.deepEqual(machine.names, ["2:b", "7:a"]);
  const swap = [
    { from: 2, to: 7 },
    { from: 7, to: 2 },
  ];
  t.deepEqual(done(told("b", 7)), [{ kind: "rename", moves: swap }]);
  t.deepEqual(done(told("a", 2)), []);
  t.deepEqual(done(machine.ended("b")), [start("b", 7)]);
});

const anyEvent: fc.Arbitrary<(machine: Machine) => void> = fc.oneof(
  fc
    .constantFrom("SIGHUP" as const, "SIGUSR2" as const, "SIGTTOU" as const)
    .map((signal) => (machine: Machine) => void machine.signal(signal)),
  fc.subarray(REDISES).map((redises) => (machine: Machine) => void machine.tell({ kind: "more", redises })),
  fc.constantFrom(...REDISES).map((redis) => (machine: Machine) => {
    if (machine.running.has(redis)) machine.ended(redis);
  }),
  fc
    .record({
      redis: fc.constantFrom(...REDISES),
      number: fc.option(fc.integer({ min: 1, max: 6 })),
      ready: fc.boolean(),
    })
    .map(({ redis, number, ready }) => (machine: Machine) => {
      const missing = ready ? undefined : "its Redis is away";
      machine.tell({ kind: "told", redis, missing, number: number ?? undefined });
    }),
  fc.integer({ min: 0, max: 20_000 }).map((afterMs) => (machine: Machine) => void machine.tick(afterMs)),
);

test("whatever happens: a process for each Redis at most, names apart and lowest, and an end", (t) => {
  const property = fc.property(
    fc.subarray(REDISES, { minLength: 1 }),
    fc.array(anyEvent, { maxLength: 60 }),
    (redises, events) => {
      const machine = new Machine();
      machine.nodes(...redises);
      for (const event of events) {
        const before = machine.supervisor.instances;
        const seen = machine.orders.length;
        const wasRunning = new Set(machine.running);
        event(machine);
        const orders = machine.orders.slice(seen);
        const { instances } = machine.supervisor;
        t.true(machine.running.size <= REDISES.length);
        t.deepEqual(instances.map(({ redis }) => redis).sort(), [...machine.running].sort());
        t.is(new Set(instances.map(({ number }) => number)).size, instances.length);
        for (const order of orders) {
          if (order.kind === "stop") t.true(wasRunning.has(order.redis));
          if (order.kind !== "start") continue;
          const known = before.find(({ redis }) => redis === order.redis);
          const taken = new Set(before.map(({ number }) => number));
          const lowest = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].find((number) => !taken.has(number));
          t.true(order.number === (known?.number ?? lowest));
        }
      }
      const isOver = () => machine.orders.some(({ kind }) => kind === "exit");
      if (!isOver()) machine.signal("SIGTERM");
      const started = machine.orders.filter(({ kind }) => kind === "start").length;
      for (const redis of machine.running) machine.ended(redis);
      t.is(machine.orders.filter(({ kind }) => kind === "start").length, started);
      t.is(machine.orders.filter(({ kind }) => kind === "exit").length, 1);
      t.deepEqual(machine.supervisor.instances, []);
    },
  );
  fc.assert(property, { numRuns: 500 });
});
