import { type DestinationStream, destination, type Level, pino } from "pino";
import { prettyFactory } from "pino-pretty";

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
  /** Never written, wherever they turn up. */
  readonly secrets: readonly string[];
  /** Standard output, unless a test looks at the lines. */
  readonly output?: DestinationStream;
}

export function createLogger({ level, format, nodeName, secrets, output }: LoggerOptions): Logger {
  const isTerminal = output === undefined && process.stdout.isTTY === true;
  const isPretty = format === "pretty" || (format === "auto" && isTerminal);
  const prettify = prettyFactory({
    colorize: isTerminal,
    ignore: "node",
    messageFormat: ({ node, msg }) => onOneLine(`[${node}] ${msg}`),
  });
  const needles = secrets.filter((secret) => secret !== "").map((secret) => JSON.stringify(secret).slice(1, -1));
  // By value, not by property: an error of a library may carry a password under any name, or within its text.
  const redact = (line: string) => needles.reduce((text, needle) => text.replaceAll(needle, "[secret]"), line);
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      mixin: () => ({ node: nodeName() }),
      serializers: { error: pino.stdSerializers.errWithCause },
      hooks: { streamWrite: (line) => (isPretty ? prettify(redact(line)) : redact(line)) },
    },
    output ?? destination(1),
  );
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
