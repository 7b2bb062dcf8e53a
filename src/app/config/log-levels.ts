import { z } from "zod";
import { LOG_CAPABILITIES, LOG_LEVELS, type LogLevels } from "../../telemetry/logs.ts";
import { commaSeparated, type Setting } from "./setting.ts";

const PAIR = new RegExp(`^(${LOG_CAPABILITIES.join("|")})=(${LOG_LEVELS.join("|")})$`);
const pairs = z.array(z.string().regex(PAIR));

/** Levels of single capabilities, as pairs. */
export function logLevelPairs(doc: string): Setting<readonly string[]> {
  return {
    doc,
    accepts: `pairs capability=level, separated by commas; capabilities are ${LOG_CAPABILITIES.join(", ")}, levels those of logLevel`,
    schema: z.union([pairs, commaSeparated.pipe(pairs)]),
    default: [],
    defaultDoc: "none: logLevel for all",
  };
}

/** What pairs that the setting has accepted say; of two for one capability the last. */
export function logLevelsOf(accepted: readonly string[]): Partial<LogLevels> {
  return Object.fromEntries(accepted.map((pair) => pair.split("="))) as Partial<LogLevels>;
}
