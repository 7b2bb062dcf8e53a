import { ApiError } from "./api-error.ts";
import { isSafeInteger } from "./primordials.ts";
import type { RemoteTarget } from "./run.ts";

export type AnyFunction = (...args: never[]) => unknown;

/** `method` is the one that was given it. */
export function functionFrom(value: unknown, method: string): AnyFunction {
  if (typeof value !== "function") throw new ApiError(`the argument of '${method}' must be a function`);
  return value as AnyFunction;
}

/** A remote function's name, or `{ function, timeoutMs, rerunOnChange }`, where libraries that know no options give the name alone. */
export function targetFrom(value: unknown): RemoteTarget {
  if (typeof value === "string") return { name: value, timeoutMs: 0, rerunOnChange: false };
  const options: { readonly function?: unknown; readonly timeoutMs?: unknown; readonly rerunOnChange?: unknown } =
    typeof value === "object" && value !== null ? value : {};
  const { function: name, timeoutMs = 0, rerunOnChange = false } = options;
  if (typeof name !== "string") throw new ApiError("the name of a remote function must be a string");
  if (timeoutMs !== 0 && !isTimeout(timeoutMs)) {
    throw new ApiError("the timeoutMs of a remote call must be a whole number of milliseconds, 1 or more");
  }
  if (typeof rerunOnChange !== "boolean") throw new ApiError("rerunOnChange of a remote call must be true or false");
  return { name, timeoutMs, rerunOnChange };
}

function isTimeout(value: unknown): value is number {
  return typeof value === "number" && isSafeInteger(value) && value > 0;
}

/** As bytes of a command: numbers and booleans as their text. */
export function commandArgument(value: unknown): string | ArrayBuffer {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return `${value}`;
    default:
      if (value instanceof ArrayBuffer) return value;
      throw new ApiError("Can not convert value into bytes buffer");
  }
}
