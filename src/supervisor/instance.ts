/** What an instance is doing. */
export type Phase =
  /** Its process runs, and has not been ready yet. */
  | { readonly kind: "starting" }
  /** Its process was ready once. It may not be now, while its Redis is away for example. */
  | { readonly kind: "running"; readonly isReady: boolean }
  /** Its process was told to end, and is killed at `killAtMs`. Then the instance has another one, or is forgotten. */
  | {
      readonly kind: "stopping";
      readonly then: "start" | "forget";
      readonly killAtMs: number;
      readonly isKilled: boolean;
    };

/** One coordinator that is kept running: it keeps its Redis for good, and its number wherever it can. */
export interface Instance {
  /** Address of the Redis beside it, `host:port`. No two instances have the same one. */
  readonly redis: string;
  /** Of its name: 3 in `gearmesh-3`. No two instances have the same one. */
  readonly number: number;
  readonly phase: Phase;
  /** How often it was started again, whether it had died or was told to. */
  readonly restarts: number;
  /** When its process was started, by the supervisor's clock. Unit: ms. */
  readonly startedAtMs: number;
}

/** The lowest number from 1 on that is not among `taken`. */
export function lowestFree(taken: ReadonlySet<number>): number {
  let number = 1;
  while (taken.has(number)) number++;
  return number;
}
