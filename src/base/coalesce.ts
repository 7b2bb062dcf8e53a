/**
 * Makes one run serve everyone who asks meanwhile: at most one runs and one waits behind it. Who asks during a run gets the
 * next one's outcome, since what the running one reads may be older than the question.
 */
export function coalesce<T>(run: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> | undefined;
  let queued: Promise<T> | undefined;
  const begin = (): Promise<T> => {
    queued = undefined;
    const current = run();
    const settled = current.then(
      () => undefined,
      () => undefined,
    );
    running = settled;
    void settled.then(() => {
      // Not where the queued run began already.
      if (running === settled) running = undefined;
    });
    return current;
  };
  return () => {
    if (queued) return queued;
    if (!running) return begin();
    queued = running.then(begin);
    return queued;
  };
}
