const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export interface Interrupt extends Disposable {
  /** Aborts with the first signal; later ones change nothing, since the end is under way. */
  readonly signal: AbortSignal;
  readonly received: Promise<void>;
}

/** Watches for the signals that ask a process to end, until it is disposed. */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const { promise: received, resolve } = Promise.withResolvers<void>();
  const interrupt = () => {
    controller.abort();
    resolve();
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  return {
    signal: controller.signal,
    received,
    [Symbol.dispose]() {
      for (const signal of SIGNALS) process.off(signal, interrupt);
    },
  };
}
