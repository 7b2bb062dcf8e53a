import { MAX_ISOLATES } from "../functions/library-header.ts";

/** What V8 gives by itself. Unit: KB. */
const FIRST_KB = 984;

/** Unit: KB. */
const FURTHER_KB = 256;

/**
 * Where the stack ends for a library's isolate, counted from where the process's stack begins. Isolates are entered in their order while the code
 * of those before them waits, so that each may go further than the one before: room is left for it whatever that has taken. Unit: KB.
 */
export function isolateStackKb(index: number): number {
  return FIRST_KB + index * FURTHER_KB;
}

/** Where it ends for the sandbox process itself: wherever a library calls it, it can answer. The system gives a process 8 MB. Unit: KB. */
export const PROCESS_STACK_KB = isolateStackKb(MAX_ISOLATES) + FIRST_KB;
