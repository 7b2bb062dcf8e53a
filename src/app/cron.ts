import { CronExpressionParser } from "cron-parser";
import { Fault } from "../base/fault.ts";
import type { NextCron } from "../tasks/task-ports.ts";

/** Longest cron line. Unit: characters. */
const MAX_LENGTH = 256;

export const nextCron: NextCron = (cron, timeZone, afterMs) => {
  const line = cron.slice(0, MAX_LENGTH);
  const refuse = (what: string, cause?: unknown): never => {
    throw new Fault("INVALID_ARGUMENT", `cron line "${line}": ${what}`, { cause });
  };
  const fields = cron.trim().split(/\s+/).length;
  if (cron.length > MAX_LENGTH || (!cron.startsWith("@") && fields !== 5 && fields !== 6)) {
    refuse("it has five fields, or six with seconds first, such as `0 3 * * *`");
  }
  if (!isTimeZone(timeZone)) refuse(`there is no time zone "${timeZone.slice(0, 64)}": Europe/Berlin or UTC are some`);
  try {
    return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(afterMs) })
      .next()
      .getTime();
  } catch (cause) {
    const { message } = cause as Error;
    return refuse(/loop limit|day of month definition/i.test(message) ? "it never fires" : message, cause);
  }
};

function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone });
    return true;
  } catch {
    return false;
  }
}
