import { Fault } from "../base/fault.ts";
import type { LibrarySource } from "./sandbox-port.ts";

/** What the first line of a library's text says. */
export interface LibraryHeader {
  readonly name: string;
  /** Version of the functions API that the library is written for. */
  readonly apiVersion: ApiVersion;
  /** How many isolates may run it at the same time; undefined: it does not say. */
  readonly isolates: number | undefined;
}

/** Most that the header or the configuration of a library may ask for. */
export const MAX_ISOLATES = 16;

const PROPERTIES = ["name", "api_version", "isolates"];

const API_VERSIONS = ["1.0", "1.1"] as const;
export type ApiVersion = (typeof API_VERSIONS)[number];

const EXAMPLE = "the first line must be like: #!js name=lib api_version=1.0";

/** Names of libraries, functions and remote functions. */
export function isLegalName(name: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(name);
}

/** Bytes of an RPC method's name: it is no word of a library's text, but of whoever calls it. */
const MAX_METHOD_NAME_BYTES = 128;

export function isLegalMethodName(name: string): boolean {
  return name !== "" && name.isWellFormed() && Buffer.byteLength(name) <= MAX_METHOD_NAME_BYTES;
}

/** Reads `#!js name=lib [api_version=1.0] [isolates=1]`; throws LIBRARY_REFUSED. */
export function parseLibraryHeader(text: string): LibraryHeader {
  const [shebang = "", ...words] = (text.split(/\r?\n/, 1)[0] ?? "").trim().split(/\s+/);
  if (!shebang.startsWith("#!")) throw refused(`the library has no header: ${EXAMPLE}`);
  if (shebang !== "#!js") throw refused(`unknown engine '${quotable(shebang.slice(2))}', only js is there: ${EXAMPLE}`);
  const properties = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    if (!PROPERTIES.includes(key)) throw refused(`unknown property '${quotable(key)}': ${EXAMPLE}`);
    if (properties.has(key)) throw refused(`the header gives ${key} twice`);
    properties.set(key, equals < 0 ? "" : word.slice(equals + 1));
  }
  const name = properties.get("name");
  if (name === undefined) throw refused(`the header gives no name: ${EXAMPLE}`);
  if (!isLegalName(name)) throw refused(`Unallowed library name '${quotable(name)}': only letters, digits and _`);
  const isolates = properties.get("isolates");
  return {
    name,
    apiVersion: apiVersion(properties.get("api_version") ?? "1.0"),
    isolates: isolates === undefined ? undefined : isolateCount(Number(isolates || "none")),
  };
}

/**
 * How many isolates run a library: as `isolates` of its configuration says, or else its header; one by default, in which all its calls share its
 * globals. Throws LIBRARY_REFUSED.
 */
export function isolatesOf({ text, config }: Pick<LibrarySource, "text" | "config">): number {
  const { isolates }: { isolates?: unknown } = JSON.parse(config);
  return isolates === undefined ? (parseLibraryHeader(text).isolates ?? 1) : isolateCount(isolates);
}

function isolateCount(count: unknown): number {
  if (typeof count === "number" && Number.isInteger(count) && count >= 1 && count <= MAX_ISOLATES) return count;
  throw refused(`isolates must be a whole number from 1 to ${MAX_ISOLATES}`);
}

function apiVersion(given: string): ApiVersion {
  const known = API_VERSIONS.find((version) => version === given);
  if (!known) throw refused(`unknown api_version '${quotable(given)}', known are ${API_VERSIONS.join(" and ")}`);
  return known;
}

/** A word of the text as an error may repeat it. */
function quotable(word: string): string {
  return word.length > 64 ? `${word.slice(0, 64)}...` : word;
}

function refused(message: string): Fault {
  return new Fault("LIBRARY_REFUSED", message);
}
