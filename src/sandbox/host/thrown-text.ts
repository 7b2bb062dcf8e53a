/** The text of an error, then where in the library it was thrown: `ReferenceError: client is not defined (lib:4)`. */
export function withLine(message: string, stack: string, library: string): string {
  const line = lineIn(stack, library);
  return line === undefined ? message : `${message} (${library}:${line})`;
}

/** The library's topmost line in a stack. Frames of the guest's own modules are above it where the API threw. */
function lineIn(stack: string, library: string): string | undefined {
  // `at f (lib:2:14)` and `at lib:3:1`; library names are plain words.
  return new RegExp(`^ +at (?:async |.*\\()?${library}:(\\d+):\\d+\\)?$`, "m").exec(stack)?.[1];
}

/** isolated-vm's text where a library threw an object that is no Error, of which nothing but that comes over. */
const NO_ERROR = "An object was thrown from supplied code within isolated-vm";

/** Most of a text that a library chose. Unit: characters. */
const MAX_TEXT = 8192;

/**
 * What a library threw past the guest, as isolated-vm hands it over: at its top level, or in a promise that nobody looks at.
 * `ownText` is the text of the API's own error, if it was one.
 */
export function thrownText(thrown: unknown, library: string, ownText = ""): string {
  return fullText(thrown, library, ownText).slice(0, MAX_TEXT);
}

function fullText(thrown: unknown, library: string, ownText: string): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown.message.startsWith(NO_ERROR)) return "an object was thrown that is no Error";
  const stack = thrown.stack ?? "";
  if (ownText !== "" && thrown.message === ownText) return withLine(ownText, stack, library);
  const frames = stack.indexOf("\n    at ");
  const text = frames < 0 ? String(thrown) : stack.slice(0, frames);
  // isolated-vm gives the place of a syntax error in the message: `Unexpected token ';' [lib:2:9]`.
  const syntax = /^(.*) \[\w+:(\d+):\d+\]$/s.exec(text);
  return syntax ? `${syntax[1]} (${library}:${syntax[2]})` : withLine(text, stack, library);
}
