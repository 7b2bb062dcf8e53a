import { Fault } from "../base/fault.ts";

/** What the first line of a library's text says. */
export interface LibraryHeader {
  readonly name: string;
  /** Version of the functions API that the library is written for. */
  readonly apiVersion: ApiVersion;
}

const API_VERSIONS = ["1.0", "1.1"] as const;
export type ApiVersion = (typeof API_VERSIONS)[number];

const EXAMPLE = "the first line must be like: #!js name=lib api_version=1.0";

/** Names of libraries, functions and remote functions. */
export function isLegalName(name: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(name);
}

/** Reads `#!js name=lib [api_version=1.0]`; throws LIBRARY_REFUSED. */
export function parseLibraryHeader(text: string): LibraryHeader {
  const [shebang = "", ...words] = (text.split(/\r?\n/, 1)[0] ?? "").trim().split(/\s+/);
  if (!shebang.startsWith("#!")) throw refused(`the library has no header: ${EXAMPLE}`);
  if (shebang !== "#!js") throw refused(`unknown engine '${quotable(shebang.slice(2))}', only js is there: ${EXAMPLE}`);
  const properties = new Map<string, string>();
  for (const word of words) {
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    if (key !== "name" && key !== "api_version") throw refused(`unknown property '${quotable(key)}': ${EXAMPLE}`);
    if (properties.has(key)) throw refused(`the header gives ${key} twice`);
    properties.set(key, equals < 0 ? "" : word.slice(equals + 1));
  }
  const name = properties.get("name");
  if (name === undefined) throw refused(`the header gives no name: ${EXAMPLE}`);
  if (!isLegalName(name)) throw refused(`Unallowed library name '${quotable(name)}': only letters, digits and _`);
  return { name, apiVersion: apiVersion(properties.get("api_version") ?? "1.0") };
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
