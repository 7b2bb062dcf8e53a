import { Fault } from "../base/fault.ts";
import type { JsonValue } from "../base/json-payload.ts";
import { LOG_CAPABILITIES, LOG_LEVELS, type LogLevels, type Logs } from "../telemetry/logs.ts";

/** Of every capability at once. */
const ALL = "all";

/** `log.level(capability, level)`: sets it; without arguments, changes nothing. Both return the level of each capability. Throws INVALID_ARGUMENT. */
export function logLevel(logs: Pick<Logs, "levels" | "setLevel">, args: readonly JsonValue[]): LogLevels {
  const [capability, level] = args;
  if (args.length === 0) return logs.levels;
  const meant = capability === ALL ? LOG_CAPABILITIES : LOG_CAPABILITIES.filter((each) => each === capability);
  const known = LOG_LEVELS.find((each) => each === level);
  if (meant.length === 0 || !known) {
    const capabilities = [...LOG_CAPABILITIES, ALL].join(", ");
    const text = `log.level(capability, level): the capability is one of ${capabilities}, the level one of ${LOG_LEVELS.join(", ")}`;
    throw new Fault("INVALID_ARGUMENT", text);
  }
  for (const each of meant) logs.setLevel(each, known);
  return logs.levels;
}
