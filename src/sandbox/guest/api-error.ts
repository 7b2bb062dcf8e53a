import { defineProperty, sliceText } from "./primordials.ts";

/** Most of a message or stack that leaves the isolate. Unit: characters. */
const MAX_TEXT = 8192;

/**
 * An error that the API itself raises. `String()` of it is its message and nothing else, which is what libraries compare. If the
 * library does not catch it, the run fails with its code.
 */
export class ApiError extends Error {
  readonly #code: string;

  constructor(message: string, code = "FUNCTION_FAILED") {
    super(message);
    this.#code = code;
  }

  /** The code of an API error; undefined for whatever the library made itself. */
  static codeOf(thrown: unknown): string | undefined {
    return typeof thrown === "object" && thrown !== null && #code in thrown ? thrown.#code : undefined;
  }

  /** A remote function that returns an error it caught sends the text. */
  toJSON(): string {
    return this.message;
  }
}
defineProperty(ApiError.prototype, "name", { value: "" });
// So that a library cannot make one with a code of its own choice.
defineProperty(ApiError.prototype, "constructor", { value: Error });

/** What was thrown, as it leaves the isolate. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  /** Empty: it has none, or the message says all. */
  readonly stack: string;
}

/** Never throws, whatever a library made of its errors. */
export function failureOf(thrown: unknown): Failure {
  const code = ApiError.codeOf(thrown);
  const message = clipped(() => String(thrown));
  if (code !== undefined) return { code, message, stack: "" };
  const stack = clipped(() => (thrown instanceof Error ? String(thrown.stack) : ""));
  return { code: "FUNCTION_FAILED", message, stack };
}

function clipped(text: () => string): string {
  try {
    return sliceText(text(), 0, MAX_TEXT);
  } catch {
    return "an error that has no text";
  }
}
