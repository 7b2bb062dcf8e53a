import type { ExecutionContext } from "ava";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";

/** One sentence or table row of what libraries and clients may expect, as a library and what becomes of it. */
export interface Row {
  /** What is promised, and what of it is checked. */
  readonly name: string;
  /** The library's text after its first line: lines count from 2. */
  readonly code: string;
  /** Default: `#!js name=lib`. */
  readonly header?: string;
  /** redis.config, as JSON. */
  readonly config?: string;
  /** The function to call. Default: `f`. */
  readonly call?: string;
  readonly args?: readonly (string | Uint8Array)[];
  readonly expected: Expected;
}

/** Integers of a typed reply are bigints, doubles numbers, bulk strings strings. */
export type Expected =
  | { readonly reply: unknown }
  | { readonly error: string | RegExp; readonly code: FaultCode }
  | { readonly refused: string | RegExp };

export function reply(value: unknown): Expected {
  return { reply: value };
}

/** The call fails with this text. */
export function error(text: string | RegExp, code: FaultCode = "FUNCTION_FAILED"): Expected {
  return { error: text, code };
}

/** The library is not loaded, and this is why. */
export function refused(text: string | RegExp): Expected {
  return { refused: text };
}

export function libraryText({ code, header = "#!js name=lib" }: Row): string {
  return `${header}\n${code}`;
}

/** How the libraries of a table are loaded, and the functions of the last one called. */
export interface Bench {
  load(row: Row): Promise<void>;
  call(row: Row): Promise<unknown>;
  /** Texts that differ from run to run, made alike. */
  readonly readable?: (text: string) => string;
}

export async function checkRow(t: ExecutionContext, row: Row, bench: Bench): Promise<void> {
  const { expected } = row;
  const fails = async (outcome: Promise<unknown>, code: FaultCode, text: string | RegExp) => {
    const fault = await t.throwsAsync(outcome, { instanceOf: Fault });
    const message = bench.readable?.(fault?.message ?? "") ?? fault?.message ?? "";
    if (typeof text === "string") t.is(message, text);
    else t.regex(message, text);
    t.is(fault?.code, code);
  };
  if ("refused" in expected) return fails(bench.load(row), "LIBRARY_REFUSED", expected.refused);
  await bench.load(row);
  if ("error" in expected) return fails(bench.call(row), expected.code, expected.error);
  t.deepEqual(await bench.call(row), expected.reply);
}
