#!/usr/bin/env node
import { createProgram } from "./program.ts";
import { reportError } from "./report-error.ts";

async function main(args: readonly string[]): Promise<number> {
  // `gearmesh help call` names a command, too.
  const [first, second] = args;
  const named = first === "help" ? second : first;
  const asJson = args.includes("--json");
  try {
    const program = await createProgram(named, asJson);
    await program.parseAsync(args, { from: "user" });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    return reportError(error, asJson);
  }
}

// A reader that leaves early (`gearmesh list | head -1`) is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});
process.exitCode = await main(process.argv.slice(2));
