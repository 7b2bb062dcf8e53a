import type { FaultCode } from "../base/fault.ts";

/** What the process ends with; above 2 they are those of sysexits.h. docs/CLI.md says the same. */
export const EXIT = {
  OK: 0,
  /** The coordinator answered with a fault. */
  FAULT: 1,
  /** The command line is wrong. */
  USAGE: 2,
  /** Nothing was done: no coordinator answered, or it cannot serve now. */
  UNAVAILABLE: 69,
  /** A bug. */
  SOFTWARE: 70,
  /** No token, a wrong one, or one for something else. */
  NO_PERMISSION: 77,
  /** Settings that cannot be used. */
  CONFIG: 78,
} as const;

const EXIT_OF: Partial<Record<FaultCode, number>> = {
  UNAVAILABLE: EXIT.UNAVAILABLE,
  UNAUTHENTICATED: EXIT.NO_PERMISSION,
  PERMISSION_DENIED: EXIT.NO_PERMISSION,
  INTERNAL: EXIT.SOFTWARE,
};

export function exitCodeOf(code: FaultCode): number {
  return EXIT_OF[code] ?? EXIT.FAULT;
}
