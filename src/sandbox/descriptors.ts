/** The thread that a sandbox process begins with. */
export const MAIN_THREAD = 0;

/** Where the process's watchdog reports. */
export const WATCHDOG_DESCRIPTOR = 4;

/** The socket of one of its threads, as the process inherits it. */
export function descriptorOfThread(thread: number): number {
  return thread === MAIN_THREAD ? 3 : WATCHDOG_DESCRIPTOR + thread;
}
