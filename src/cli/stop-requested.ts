/**
 * Resolves with the first SIGTERM or SIGINT, or when whoever started us with a channel to it is gone: a supervisor that was killed leaves nobody behind.
 * The second signal ends the process at once, without waiting for what is being drained: whoever asks twice means it.
 */
export function stopRequested(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let requested = false;
  for (const [signal, number] of [
    ["SIGTERM", 15],
    ["SIGINT", 2],
  ] as const) {
    process.on(signal, () => {
      // 128 + n is how a shell reports a process that signal n ended.
      if (requested) process.exit(128 + number);
      requested = true;
      resolve();
    });
  }
  // Undefined without a channel.
  if (process.connected === false) resolve();
  process.once("disconnect", resolve);
  process.channel?.unref();
  return promise;
}
