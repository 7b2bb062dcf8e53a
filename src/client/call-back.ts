/**
 * Calls what the user of the client gave it, if anything. What that throws is not for the code in whose midst it is called, which would leave its work half done: it becomes
 * an uncaught exception, as that of an event listener of the user's own.
 */
export function callBack<Args extends readonly unknown[]>(
  callback: ((...args: Args) => void) | undefined,
  ...args: Args
): void {
  try {
    callback?.(...args);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
