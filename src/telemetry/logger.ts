import { type DestinationStream, destination, type Level, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import { type RequestIdentity, traceIdOf } from "../base/request-identity.ts";

/** Writes one line: what happened, for a person, and the facts, for a machine. */
export interface Logger {
  trace(facts: object, message: string): void;
  debug(facts: object, message: string): void;
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
  fatal(facts: object, message: string): void;
}

export interface LoggerOptions {
  readonly level: Level | "silent";
  /** `auto`: pretty on a terminal, JSON elsewhere. */
  readonly format: "auto" | "json" | "pretty";
  /** Asked for every line, since the name changes once its lease is claimed. */
  readonly nodeName: () => string;
  /** Asked for every line: the request that it belongs to, if it does. */
  readonly request?: () => RequestIdentity | undefined;
  /** Never written, wherever they turn up. Asked for every line, since tokens may be replaced; another list is another array. */
  readonly secrets: () => readonly string[];
  /** Standard output, unless a test looks at the lines. */
  readonly output?: DestinationStream;
}

/** A logger that can have others under it, each with a level of its own. */
export interface RootLogger extends Logger {
  /** `facts` are in each of its lines. */
  child(facts: object, options: { readonly level: LoggerOptions["level"] }): Logger & { level: string };
}

export function createLogger({ level, format, nodeName, request, secrets, output }: LoggerOptions): RootLogger {
  const isTerminal = output === undefined && process.stdout.isTTY === true;
  const isPretty = format === "pretty" || (format === "auto" && isTerminal);
  const prettify = prettyFactory({
    colorize: isTerminal,
    ignore: "node,capability",
    messageFormat: ({ node, capability, msg }) => onOneLine(`[${capability ? `${node} ${capability}` : node}] ${msg}`),
  });
  let known: readonly string[] = [];
  let needles: readonly string[] = [];
  const current = () => {
    const now = secrets();
    if (now !== known) {
      known = now;
      needles = now.filter((secret) => secret !== "").map((secret) => JSON.stringify(secret).slice(1, -1));
    }
    return needles;
  };
  // By value, not by property: an error of a library may carry a password under any name, or within its text.
  const redact = (line: string) => current().reduce((text, needle) => text.replaceAll(needle, "[secret]"), line);
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => ({ node: nodeName(), ...namesOf(request?.()) }),
      serializers: { error: pino.stdSerializers.errWithCause },
      hooks: { streamWrite: (line) => (isPretty ? prettify(redact(line)) : redact(line)) },
    },
    output ?? destination(1),
  );
}

/** As lines carry them. */
function namesOf(request: RequestIdentity | undefined): object {
  if (!request) return {};
  const traceId = traceIdOf(request);
  return { requestId: request.requestId, ...(traceId !== undefined && { traceId }) };
}

/** What ends a line, or moves a terminal's cursor: control characters and the separators of Unicode. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029]/gu;

/** The text with such characters as JSON escapes them. Messages may hold what clients say, which must not look like lines of our own. */
function onOneLine(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    const escaped = JSON.stringify(character).slice(1, -1);
    return escaped.length > 1 ? escaped : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
