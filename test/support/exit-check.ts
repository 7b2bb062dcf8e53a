import { registerCompletionHandler } from "ava";

/** Longest that a test's process may live on after its last test. Unit: ms. */
const LEFTOVERS_MS = 30_000;

/** A process that something keeps alive would hold up the whole run for ever: it fails instead, and says what it is. */
registerCompletionHandler(() => {
  const fail = (): void => {
    const resources = process.getActiveResourcesInfo().join(", ");
    process.stderr.write(`the tests have ended, but their process lives on: ${resources}\n`);
    process.exit(1);
  };
  setTimeout(fail, LEFTOVERS_MS).unref();
});
