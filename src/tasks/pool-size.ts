/** How large the pool of workers is to be, and by what that is decided. */
export interface PoolLoad {
  readonly size: number;
  readonly min: number;
  readonly max: number;
  /** Workers at work. */
  readonly busy: number;
  /** Whether a task waits because all are at work. */
  readonly isWanting: boolean;
  /** How late the event loop is. Unit: ms. */
  readonly lagMs: number;
}

/** An event loop that is later than this has more to do than it can: another worker would make each slower. Unit: ms. */
const MAX_LAG_MS = 50;

/** It grows by half while tasks wait, and shrinks by a tenth while a third of it has nothing to do or the event loop is late. */
export function nextPoolSize({ size, min, max, busy, isWanting, lagMs }: PoolLoad): number {
  const bounded = (wanted: number): number => Math.min(max, Math.max(min, wanted));
  if (lagMs > MAX_LAG_MS) return bounded(size - Math.ceil(size / 10));
  if (isWanting) return bounded(size + Math.ceil(size / 2));
  return busy < (size * 2) / 3 ? bounded(size - Math.ceil(size / 10)) : bounded(size);
}
