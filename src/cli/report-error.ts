import { styleText } from "node:util";
import { CommanderError } from "commander";
import { ConfigError } from "../app/config/config-error.ts";
import { Fault, type FaultCode } from "../base/fault.ts";
import { EXIT, exitCodeOf } from "./exit-codes.ts";

/** A command line that parses and still says too little. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A call to a coordinator that ended with a fault: there is something to advise, unlike for a fault of this process. */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.message, { cause: fault });
    this.fault = fault;
  }
}

const NEXT: Partial<Record<FaultCode, string>> = {
  UNAUTHENTICATED: "give the cluster's serverToken by --token-file or in GEARMESH_SERVER_TOKEN",
  PERMISSION_DENIED: "give a token with the scope that the message names, or the cluster's serverToken",
  UNAVAILABLE: "is a coordinator running there? `gearmesh dev` starts a cluster on this machine",
  UNKNOWN_LIBRARY: "`gearmesh list` shows what is loaded",
  UNKNOWN_FUNCTION: "`gearmesh list` shows what is loaded",
  NO_PREVIOUS_REVISION: "`gearmesh load --replace` loads another version",
  LIBRARY_EXISTS: "`gearmesh load --replace` replaces it",
  DEADLINE_EXCEEDED: "--timeout gives it longer",
  MOVED: "`gearmesh refresh` has the coordinators read the topology anew",
};

/** Writes to stderr what went wrong and what to do next, as JSON where that was asked for. Returns the exit code. */
export function reportError(error: unknown, asJson: boolean): number {
  // Help that was asked for is no failure; of any other the text has been written already, but for JSON.
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.OK;
  const { code, message, exitCode } = described(error);
  if (asJson) console.error(JSON.stringify({ code, message }));
  else if (!(error instanceof CommanderError)) {
    const suffix = error instanceof CallFailed || error instanceof Fault ? ` (${code})` : "";
    console.error(`${styleText("red", "error:", { stream: process.stderr })} ${message}${suffix}`);
    const next = error instanceof CallFailed ? NEXT[error.fault.code] : undefined;
    if (next !== undefined) console.error(`  ${next}`);
  }
  return exitCode;
}

function described(error: unknown): { readonly code: string; readonly message: string; readonly exitCode: number } {
  if (error instanceof CallFailed) return described(error.fault);
  if (error instanceof Fault) return { code: error.code, message: error.message, exitCode: exitCodeOf(error.code) };
  if (error instanceof ConfigError) return { code: "CONFIG", message: error.message, exitCode: EXIT.CONFIG };
  if (error instanceof UsageError) return { code: "USAGE", message: error.message, exitCode: EXIT.USAGE };
  if (error instanceof CommanderError) {
    return { code: "USAGE", message: error.message.replace(/^error: /, ""), exitCode: EXIT.USAGE };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: "INTERNAL", message: `this is a bug in gearmesh, please report it: ${text}`, exitCode: EXIT.SOFTWARE };
}
