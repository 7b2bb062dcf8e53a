import { ENDLESS_CASES } from "./hostile-cases/endless.ts";
import { ESCAPE_CASES } from "./hostile-cases/escape.ts";
import { FLOOD_CASES } from "./hostile-cases/flood.ts";
import type { HostileCase } from "./hostile-cases/hostile-case.ts";
import { MEMORY_CASES } from "./hostile-cases/memory.ts";
import { NATIVE_CASES } from "./hostile-cases/native.ts";
import { NESTING_CASES } from "./hostile-cases/nesting.ts";
import { TAMPERING_CASES } from "./hostile-cases/tampering.ts";

/**
 * Every attack. Those that kill the sandbox process stand apart: a process that dies soon after its start is started again later and later, and
 * the suite would measure that.
 */
export const HOSTILE_CASES: readonly HostileCase[] = spread(NATIVE_CASES, [
  ...ENDLESS_CASES,
  ...ESCAPE_CASES,
  ...MEMORY_CASES,
  ...TAMPERING_CASES,
  ...FLOOD_CASES,
  ...NESTING_CASES,
]);

/** `few` among `many`, as far apart as they go. */
function spread<T>(few: readonly T[], many: readonly T[]): readonly T[] {
  const size = Math.ceil(many.length / few.length);
  return few.flatMap((one, index) => [...many.slice(index * size, (index + 1) * size), one]);
}
